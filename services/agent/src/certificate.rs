//! The certificate that this node shows to the others of its cluster: asked for anew long before it ends.
//!
//! Connections that are open stay as they are, and no service notices. Control knows the node by its token, so a node that stood still, or
//! was without control, for longer than its certificate lasts asks as soon as it can; until then its peers refuse it, and
//! connections of its services wait as for a node that is not there yet.

use std::time::Duration;

use chrono::Utc;
use secrecy::ExposeSecret as _;

use crate::bootstrap::{self, Identity};
use crate::control::ControlClient;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::relay::Tls;

const TRY_AGAIN: Duration = Duration::from_secs(600);
/// What is due is known by the clock of the day, which is set, and goes on while a machine stands still.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

pub(crate) async fn renew_for_ever(mut identity: Identity, layout: Layout, control: ControlClient, tls: Tls) {
    loop {
        let pause = match due_in(&identity) {
            Some(left) => left.min(LOOK_AGAIN),
            None => match renew(&mut identity, &layout, &control, &tls).await {
                Ok(()) => Duration::ZERO,
                // Control is of a release that knows of none.
                Err(Error::ControlRefused { status: 404, .. }) => LOOK_AGAIN,
                Err(error) => {
                    tracing::warn!(
                        error = error.chain(),
                        "The node's certificate can't be renewed yet"
                    );
                    TRY_AGAIN
                }
            },
        };
        tokio::time::sleep(pause).await;
    }
}

/// None: it is due.
fn due_in(identity: &Identity) -> Option<Duration> {
    (identity.renew_at? - Utc::now()).to_std().ok()
}

/// On the disk before it is shown: whoever takes over the node begins with it.
async fn renew(identity: &mut Identity, layout: &Layout, control: &ControlClient, tls: &Tls) -> Result<()> {
    let given = control.certificate().await?;
    if given.ca_pem != identity.registered.ca_pem {
        return Err(Error::Certificates(
            "control's is of another authority than this node",
        ));
    }
    // Refused by now, if it fits nothing.
    Tls::new(&given.ca_pem, &given.cert_pem, given.key_pem.expose_secret())?;
    identity.registered.cert_pem = given.cert_pem;
    identity.registered.key_pem = given.key_pem;
    identity.renew_at = Some(bootstrap::after(given.renew_after_s.max(60)));
    bootstrap::keep(identity, layout)?;
    let now = &identity.registered;
    tls.exchange(&now.ca_pem, &now.cert_pem, now.key_pem.expose_secret())?;
    tracing::info!("The node's certificate was renewed");
    Ok(())
}
