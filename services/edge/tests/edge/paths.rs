use crate::harness::{ALICE, Call, World};

#[tokio::test]
async fn requests_that_two_programs_may_read_differently_are_refused() {
    let world = World::start().await;
    let (host, session) = (world.host(1), world.session(ALICE, 1));
    let cookie = format!("Cookie: updraft_edge={session}\r\n");
    let p = "/airflow-webserver-1";
    let host_line = format!("Host: {host}\r\n");
    let head =
        |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    let plain = |path: &str| head(&format!("{p}{path}"), &format!("{host_line}{cookie}"));
    let extra = |headers: &str| head(&format!("{p}/"), &format!("{host_line}{cookie}{headers}"));
    let doubtful = [
        plain("/../airflow-webserver-2/"),
        plain("/./dags"),
        plain("/a/.."),
        plain("/a/..;x/b"),
        plain("//dags"),
        plain("/a//b"),
        plain("/%2e%2e/b"),
        plain("/%2E/b"),
        plain("/a%2fb"),
        plain("/a%2Fb"),
        plain("/a%5cb"),
        plain("/a\\b"),
        plain("/a%00"),
        plain("/a%0d%0aX"),
        plain("/a%252fb"),
        plain("/a%"),
        plain("/a%zz"),
        plain("/%65xecution/health"),
        plain("/a%ff"),
        head(&format!("http://other:1{p}/"), &format!("{host_line}{cookie}")),
        head(&format!("{p}/"), &cookie),
        extra(&host_line),
        extra("Host: other\r\n"),
        extra(&cookie),
        extra("Origin: a\r\nOrigin: b\r\n"),
        extra("Authorization: a\r\nAuthorization: b\r\n"),
        extra("X_Forwarded_For: 1\r\n"),
        extra("Content_Length: 1\r\n"),
        extra("Content-Length: 1\r\nContent-Length: 2\r\n"),
        extra("Content-Length: +1\r\n"),
        extra("Transfer-Encoding: chunked, identity\r\n"),
        extra("X-A: 1\r\n X-Folded: 2\r\n"),
        extra("Bad Name: 1\r\n"),
    ];
    for request in doubtful {
        let answer = Call::raw(&host, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{request}\n{answer}");
    }
    for method in ["TRACE", "CONNECT"] {
        let answer = Call::raw(&host, &plain("/").replace("GET", method)).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{method} {answer}");
    }
    assert_eq!(world.upstreams[0].requests(), 0);
    assert!(
        Call::raw(&host, &plain("/dags/a%20b%3Ac+d;e=1,%C3%A9?q=../%2e"))
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn nothing_is_smuggled_behind_a_body_with_two_lengths() {
    let world = World::start().await;
    let (host, session) = (world.host(1), world.session(ALICE, 1));
    for lengths in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
    ] {
        let head = format!("Host: {host}\r\nAuthorization: Bearer {session}\r\n");
        let hidden = format!("GET /airflow-webserver-1/hidden HTTP/1.1\r\n{head}\r\n");
        let request =
            format!("POST /airflow-webserver-1/seen HTTP/1.1\r\n{head}{lengths}\r\n\r\n0\r\n\r\n{hidden}");
        let answer = Call::raw(&host, &request).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(
            !answer.contains("hidden") && !answer.contains(r#""content-length""#),
            "{answer}"
        );
        assert!(answer.contains("connection: close"), "{answer}");
    }
}
