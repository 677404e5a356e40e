//! Whether the broker that a tenant asks for can run where its nodes will be. Only a machine that is this one is known.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use updraft_model::Broker;

use crate::AppError;

/// Of AMQP.
const PORT: u16 = 5672;
/// No node's: who listens there listens on every address.
const UNUSED: Ipv4Addr = Ipv4Addr::new(127, 127, 127, 127);

/// # Errors
/// [`AppError::Invalid`] where this machine, whose processes nodes are, lacks it, or has one of its own on all addresses.
pub(crate) fn check_installed(broker: Broker, rabbitmq: Option<&Path>) -> Result<(), AppError> {
    let (Broker::RabbitMq, Some(program)) = (broker, rabbitmq) else {
        return Ok(());
    };
    if !program.is_file() {
        let why = format!(
            "RabbitMQ is not installed on this machine, there is no `{}`: install it with `apt-get install \
             rabbitmq-server` and end what that starts with `systemctl disable --now rabbitmq-server`, or choose `valkey`",
            program.display()
        );
        return Err(AppError::invalid("broker", why));
    }
    if is_taken(UNUSED, PORT) {
        let why = format!(
            "another program listens on port {PORT} of every address of this machine: end it (`systemctl disable --now \
             rabbitmq-server`, if it is RabbitMQ's own service), or choose `valkey`"
        );
        return Err(AppError::invalid("broker", why));
    }
    Ok(())
}

fn is_taken(address: Ipv4Addr, port: u16) -> bool {
    TcpListener::bind((address, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::path::Path;

    use updraft_model::Broker;

    use super::{UNUSED, check_installed, is_taken};

    #[test]
    fn a_machine_that_is_known_to_lack_it_refuses_with_the_remedy() {
        let nowhere = Some(Path::new("/nowhere/rabbitmq-server"));
        let refused = check_installed(Broker::RabbitMq, nowhere)
            .unwrap_err()
            .to_string();
        assert!(refused.contains("apt-get install rabbitmq-server"), "{refused}");
        assert!(check_installed(Broker::Valkey, nowhere).is_ok());
        assert!(
            check_installed(Broker::RabbitMq, None).is_ok(),
            "other machines are their own"
        );
    }

    #[test]
    fn who_listens_on_every_address_is_found_and_who_listens_on_one_is_not() {
        let everywhere = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        assert!(is_taken(UNUSED, everywhere.local_addr().unwrap().port()));
        let once = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_taken(UNUSED, once.local_addr().unwrap().port()));
    }
}
