//! Error answers: EC2's XML, the other Query services' XML, and JSON.

use serde::Deserialize;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) request_id: Option<String>,
}

/// `<Response><Errors><Error>…` from EC2, `<ErrorResponse><Error>…` from the others.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "Errors")]
    errors: Option<Errors>,
    #[serde(rename = "Error")]
    error: Option<ErrorElement>,
    #[serde(rename = "RequestID", alias = "RequestId")]
    request_id: Option<String>,
}

#[derive(Deserialize)]
struct Errors {
    #[serde(rename = "Error", default)]
    all: Vec<ErrorElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorElement {
    code: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Object {
    #[serde(rename = "__type")]
    kind: Option<String>,
    message: Option<String>,
    /// Some say it so, and some in both ways.
    #[serde(rename = "Message")]
    capital_message: Option<String>,
}

pub(crate) fn of_xml(text: &str) -> Option<Told> {
    let document: Document = quick_xml::de::from_str(text).ok()?;
    let among = document.errors.and_then(|errors| errors.all.into_iter().next());
    let error = among.or(document.error)?;
    Some(Told {
        code: error.code,
        message: error.message,
        request_id: document.request_id,
    })
}

pub(crate) fn of_json(text: &str) -> Option<Told> {
    let object: Object = serde_json::from_str(text).ok()?;
    // `com.amazonaws.ssm#ParameterNotFound`
    let code = object
        .kind
        .map(|kind| kind.rsplit('#').next().unwrap_or(&kind).to_owned());
    Some(Told {
        code,
        message: object.message.or(object.capital_message),
        request_id: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: &str, message: &str, request: Option<&str>) -> Option<Told> {
        Some(Told {
            code: Some(code.to_owned()),
            message: Some(message.to_owned()),
            request_id: request.map(ToOwned::to_owned),
        })
    }

    #[test]
    fn each_service_says_no_in_its_own_way() {
        let ec2 = r#"<?xml version="1.0" encoding="UTF-8"?>
<Response><Errors><Error><Code>InvalidSubnetID.NotFound</Code><Message>The subnet ID 'subnet-1' does not exist</Message></Error></Errors><RequestID>r-1</RequestID></Response>"#;
        let expected = told(
            "InvalidSubnetID.NotFound",
            "The subnet ID 'subnet-1' does not exist",
            Some("r-1"),
        );
        assert_eq!(of_xml(ec2), expected);
        let sts = r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error><RequestId>r-2</RequestId></ErrorResponse>"#;
        assert_eq!(of_xml(sts), told("AccessDenied", "no", Some("r-2")));
        let ssm = r#"{"__type":"com.amazonaws.ssm#ParameterNotFound","message":"no such parameter"}"#;
        assert_eq!(of_json(ssm), told("ParameterNotFound", "no such parameter", None));
        let twice =
            r#"{"__type":"ParameterNotFound","message":"no such parameter","Message":"no such parameter"}"#;
        assert_eq!(of_json(twice), of_json(ssm));
    }

    #[test]
    fn what_is_no_error_answer_tells_nothing() {
        for text in ["", "<html>503</html>", "{}x", "<Response></Response>"] {
            assert!(of_xml(text).is_none() && of_json(text).is_none(), "{text}");
        }
    }
}
