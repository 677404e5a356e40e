use std::sync::Mutex;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::{Credentials, EC2, FixedCredentials, SSM};

/// Answers in turn, and keeps what it was asked.
#[derive(Clone, Default)]
struct Aws {
    answers: Arc<Mutex<Vec<(u16, String)>>>,
    asked: Arc<Mutex<Vec<(HeaderMap, String)>>>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    name: String,
}

const FINE: &str = "<R><name>n</name></R>";

fn error(code: &str) -> String {
    format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>m</Message></Error></Errors><RequestID>r</RequestID></Response>"
    )
}

impl Aws {
    async fn answering(answers: &[(u16, &str)]) -> (Self, Client) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let aws = Self::default();
        *aws.answers.lock().unwrap() = answers.iter().rev().map(|(s, t)| (*s, (*t).to_owned())).collect();
        let serve = |State(aws): State<Aws>, headers: HeaderMap, body: String| async move {
            aws.asked.lock().unwrap().push((headers, body));
            let (status, text) = aws.answers.lock().unwrap().pop().unwrap();
            (StatusCode::from_u16(status).unwrap(), text)
        };
        let router = Router::new().route("/", post(serve)).with_state(aws.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (aws, client(&format!("http://{address}/")))
    }

    fn asked(&self) -> Vec<(HeaderMap, String)> {
        self.asked.lock().unwrap().clone()
    }
}

fn client(endpoint: &str) -> Client {
    let credentials = FixedCredentials(Credentials {
        access_key: "AKIA1".to_owned(),
        secret_key: "secret".into(),
        session_token: Some("token".into()),
        expires_at: None,
    });
    let place = Place {
        region: "eu-central-1".to_owned(),
        endpoint: Some(Url::parse(endpoint).unwrap()),
    };
    Client::new(place, Arc::new(credentials)).unwrap()
}

#[tokio::test]
async fn a_query_is_a_signed_form() {
    let (aws, client) = Aws::answering(&[(200, FINE)]).await;
    let params = Params::default().with("A", "b c&d");
    let answer: Answer = client.query(EC2, "DescribeImages", &params).await.unwrap();
    assert_eq!(answer.name, "n");
    let (headers, body) = aws.asked().remove(0);
    assert_eq!(body, "Action=DescribeImages&Version=2016-11-15&A=b+c%26d");
    let signature = headers["authorization"].to_str().unwrap();
    assert!(
        signature.contains("/eu-central-1/ec2/aws4_request"),
        "{signature}"
    );
    assert!(
        signature.contains("content-type;host;x-amz-date;x-amz-security-token"),
        "{signature}"
    );
    assert_eq!(headers["x-amz-security-token"], "token");
}

#[tokio::test]
async fn json_names_its_action_in_a_header() {
    let (aws, client) = Aws::answering(&[(200, r#"{"name":"n"}"#)]).await;
    let answer: Answer = client
        .json(SSM, "GetParameter", &json!({"Name": "/a"}))
        .await
        .unwrap();
    assert_eq!(answer.name, "n");
    let (headers, body) = aws.asked().remove(0);
    assert_eq!(headers["x-amz-target"], "AmazonSSM.GetParameter");
    assert_eq!(headers["content-type"], "application/x-amz-json-1.1");
    assert_eq!(body, r#"{"Name":"/a"}"#);
}

#[tokio::test]
async fn what_passes_is_asked_again_with_the_same_bytes() {
    let throttled = error("RequestLimitExceeded");
    let (aws, client) =
        Aws::answering(&[(503, &throttled), (500, &error("InternalError")), (200, FINE)]).await;
    let _: Answer = client
        .query(EC2, "RunInstances", &Params::default())
        .await
        .unwrap();
    let bodies: Vec<_> = aws.asked().into_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
}

#[tokio::test]
async fn what_stays_is_said_at_once() {
    let (aws, client) = Aws::answering(&[(403, &error("UnauthorizedOperation"))]).await;
    let answer = client
        .query::<Answer>(EC2, "RunInstances", &Params::default())
        .await;
    let AwsError::Said(said) = answer.unwrap_err() else {
        panic!("AWS did say something");
    };
    let expected = Said {
        action: "RunInstances",
        status: 403,
        code: "UnauthorizedOperation".to_owned(),
        message: "m".to_owned(),
        request_id: Some("r".to_owned()),
    };
    assert_eq!((*said, aws.asked().len()), (expected, 1));
}

#[tokio::test]
async fn a_page_of_somebody_in_between_is_known_by_its_status() {
    let (_, client) = Aws::answering(&[(400, "<html>no</html>")]).await;
    let error = client
        .query::<Answer>(EC2, "RunInstances", &Params::default())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("HTTP 400"));
}

#[tokio::test]
async fn nobody_there_is_no_answer() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let error = client("http://127.0.0.1:1/")
        .query::<Answer>(EC2, "DescribeImages", &Params::default())
        .await;
    assert!(matches!(error.unwrap_err(), AwsError::NoAnswer { .. }));
}

#[test]
fn regions_have_addresses_of_their_own() {
    let at = |region: &str| {
        let place = Place {
            region: region.to_owned(),
            endpoint: None,
        };
        place.url(EC2)
    };
    assert_eq!(at("eu-central-1"), "https://ec2.eu-central-1.amazonaws.com/");
    assert_eq!(at("cn-north-1"), "https://ec2.cn-north-1.amazonaws.com.cn/");
}
