//! `POST /device/authorize`

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Form, Json};
use updraft_api::device::{DeviceAuthorized, DeviceError, DeviceRefused, DeviceRequest};
use updraft_app::{App, AppError};

use crate::rest::{ApiResult, ClientAddress, device_refused};

/// Ask to be signed in
///
/// RFC 8628, section 3.1: for programs on devices without a browser. Show the person the code and the address.
#[utoipa::path(post, path = "/device/authorize", tag = "sign-in", operation_id = "authorize_device",
    request_body(content = DeviceRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What to show, and what to poll with", body = DeviceAuthorized),
        (status = 400, description = "Refused (RFC 6749, section 5.2)", body = DeviceRefused),
    ), security(()))]
pub(super) async fn authorize_device(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    form: Result<Form<DeviceRequest>, axum::extract::rejection::FormRejection>,
) -> ApiResult<Response> {
    let Ok(Form(asked)) = form else {
        return Ok(device_refused(
            DeviceError::InvalidRequest,
            "send a form with `client_id`",
        ));
    };
    match app.authorize_device(&asked.client_id, address).await {
        Ok(authorized) => Ok(Json(authorized).into_response()),
        Err(AppError::Invalid { why, .. }) => Ok(device_refused(DeviceError::InvalidRequest, &why)),
        Err(error) => Err(error.into()),
    }
}
