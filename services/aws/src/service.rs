//! The services that are spoken to, and how.

/// One of AWS's services.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// As in signatures and host names.
    pub name: &'static str,
    pub protocol: Protocol,
}

#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    /// A form in, XML out.
    Query { version: &'static str },
    /// JSON both ways; the action is in a header.
    Json {
        target: &'static str,
        version: &'static str,
    },
}

pub const EC2: Service = Service {
    name: "ec2",
    protocol: Protocol::Query {
        version: "2016-11-15",
    },
};

pub const STS: Service = Service {
    name: "sts",
    protocol: Protocol::Query {
        version: "2011-06-15",
    },
};

pub const SSM: Service = Service {
    name: "ssm",
    protocol: Protocol::Json {
        target: "AmazonSSM",
        version: "1.1",
    },
};
