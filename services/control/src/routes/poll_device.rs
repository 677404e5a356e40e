//! `POST /device/token`

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Form, Json};
use updraft_api::device::{DEVICE_GRANT, DeviceError, DevicePoll, DeviceRefused, DeviceToken};
use updraft_app::App;

use crate::rest::{ApiResult, ClientAddress, device_refused};

const LONGEST_AGENT: usize = 300;

/// Ask whether the person has approved
///
/// RFC 8628, section 3.4. The session is given once.
#[utoipa::path(post, path = "/device/token", tag = "sign-in", operation_id = "poll_device",
    request_body(content = DevicePoll, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The session", body = DeviceToken),
        (status = 400, description = "Not yet, or no more (section 3.5)", body = DeviceRefused),
    ), security(()))]
pub(super) async fn poll_device(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    form: Result<Form<DevicePoll>, axum::extract::rejection::FormRejection>,
) -> ApiResult<Response> {
    let Ok(Form(poll)) = form else {
        let what = "send a form with `grant_type` and `device_code`";
        return Ok(device_refused(DeviceError::InvalidRequest, what));
    };
    if poll.grant_type != DEVICE_GRANT {
        return Ok(device_refused(DeviceError::UnsupportedGrantType, DEVICE_GRANT));
    }
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    let agent = agent.map(|agent| agent.chars().take(LONGEST_AGENT).collect::<String>());
    match app
        .poll_device(&poll.device_code, address, agent.as_deref())
        .await?
    {
        Ok(token) => Ok(Json(token).into_response()),
        Err(error) => Ok(device_refused(error, description(error))),
    }
}

fn description(error: DeviceError) -> &'static str {
    match error {
        DeviceError::AuthorizationPending => "nobody has decided yet: go on polling",
        DeviceError::SlowDown => "too fast: wait five seconds longer between polls from now on",
        DeviceError::AccessDenied => "the person said no, or may no longer sign in",
        DeviceError::ExpiredToken => "nobody decided in time: begin anew",
        DeviceError::InvalidGrant => "the device code is unknown or used: begin anew",
        DeviceError::InvalidRequest | DeviceError::UnsupportedGrantType => "see RFC 8628",
    }
}
