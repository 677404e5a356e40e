use proptest::prelude::*;

use super::*;

fn area_of(path: &str) -> Option<(i64, Area<'_>)> {
    check_path(path).ok()?;
    match target(path) {
        Target::Cluster { cluster, area } => Some((cluster.0, area)),
        Target::Own(_) | Target::Nowhere => None,
    }
}

#[test]
fn a_path_names_its_cluster_in_one_spelling_only() {
    assert_eq!(area_of("/airflow-webserver-7/dags"), Some((7, Area::Airflow)));
    assert_eq!(area_of("/airflow-webserver-7"), Some((7, Area::Bare)));
    assert_eq!(
        area_of("/airflow-webserver-7/static/assets/a.js"),
        Some((7, Area::Static("assets/a.js")))
    );
    assert_eq!(area_of("/airflow-webserver-7/static/"), Some((7, Area::Airflow)));
    for other in [
        "/airflow-webserver-07/",
        "/airflow-webserver-/",
        "/airflow-webserver-+7/",
        "/airflow-webserver-7a/",
        "/Airflow-webserver-7/",
        "/airflow-webserver-99999999999999999999/",
        "/x/airflow-webserver-7/",
    ] {
        assert_eq!(area_of(other), None, "{other}");
    }
}

#[test]
fn the_execution_api_is_recognised_wherever_a_server_might_see_it() {
    for below in [
        "execution",
        "execution/",
        "execution/task-instances/1/run",
        "EXECUTION/x",
        "execution;v=1/x",
        "airflow-webserver-7/execution/x",
        "airflow-webserver-7/airflow-webserver-7/execution",
    ] {
        assert_eq!(
            area_of(&format!("/airflow-webserver-7/{below}")),
            Some((7, Area::Execution)),
            "{below}"
        );
    }
    for below in [
        "executions",
        "dags/execution",
        "api/v2/execution",
        "airflow-webserver-7/dags",
    ] {
        assert_eq!(
            area_of(&format!("/airflow-webserver-7/{below}")),
            Some((7, Area::Airflow)),
            "{below}"
        );
    }
}

#[test]
fn each_refusal_has_its_reason() {
    let table = [
        ("/a/../b", Refusal::DotSegment),
        ("/.", Refusal::DotSegment),
        ("/a/..;x", Refusal::DotSegment),
        ("/;a/b", Refusal::DotSegment),
        ("//a", Refusal::EmptySegment),
        ("/a//", Refusal::EmptySegment),
        ("/%2F", Refusal::EscapedSeparator),
        ("/%5c", Refusal::EscapedSeparator),
        ("/%00", Refusal::EscapedSeparator),
        ("/%7f", Refusal::EscapedSeparator),
        ("/%2e", Refusal::NeedlessEscape),
        ("/%41", Refusal::NeedlessEscape),
        ("/%2541", Refusal::MalformedEscape),
        ("/%", Refusal::MalformedEscape),
        ("/%4", Refusal::MalformedEscape),
        ("/%c3", Refusal::MalformedEscape),
        ("/\\", Refusal::RawCharacter),
        ("/é", Refusal::RawCharacter),
        ("a", Refusal::RawCharacter),
        ("*", Refusal::RawCharacter),
    ];
    for (path, reason) in table {
        assert_eq!(check_path(path), Err(reason), "{path}");
    }
}

/// The most obliging server there could be: decodes again and again, takes backslashes for slashes, cuts parameters
/// off, merges slashes, resolves dots, ignores case.
fn as_a_lenient_server_sees(path: &str) -> Vec<String> {
    let mut text = path.to_owned();
    for _ in 0..4 {
        text = percent_encoding::percent_decode_str(&text)
            .decode_utf8_lossy()
            .into_owned();
    }
    let mut segments: Vec<String> = Vec::new();
    for segment in text.replace('\\', "/").split('/') {
        match segment.split([';', '\0']).next().unwrap_or_default() {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name.to_lowercase()),
        }
    }
    segments
}

/// Pieces of which attacks are made.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("/".to_owned()),
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just("%2e".to_owned()),
        Just("%2f".to_owned()),
        Just("%5C".to_owned()),
        Just("\\".to_owned()),
        Just("%25".to_owned()),
        Just("%252e%252e%252f".to_owned()),
        Just("%00".to_owned()),
        Just(";".to_owned()),
        Just("execution".to_owned()),
        Just("%65xecution".to_owned()),
        Just("Execution".to_owned()),
        Just("static/".to_owned()),
        Just("airflow-webserver-1".to_owned()),
        Just("airflow-webserver-2".to_owned()),
        Just("%c0%ae".to_owned()),
        Just("a%20b".to_owned()),
        "[ -~]{0,4}",
        "\\PC{0,2}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn no_server_resolves_an_accepted_path_elsewhere(pieces in prop::collection::vec(piece(), 0..8)) {
        let path = format!("/airflow-webserver-1/{}", pieces.concat());
        if let Some((cluster, area)) = area_of(&path) {
            let seen = as_a_lenient_server_sees(&path);
            prop_assert_eq!(cluster, 1);
            prop_assert_eq!(&seen[0], "airflow-webserver-1");
            // As many segments as were sent: nothing was climbed, merged or split.
            let sent = path.split('/').filter(|s| !s.is_empty()).count();
            prop_assert_eq!(seen.len(), sent);
            let inner = seen.iter().find(|s| !s.starts_with("airflow-webserver-"));
            let execution = inner.is_some_and(|s| s == "execution");
            prop_assert_eq!(execution, area == Area::Execution, "{:?}", seen);
        }
    }

    #[test]
    fn no_header_or_path_makes_it_panic(target in "\\PC*", host in "\\PC*") {
        if let (Ok(uri), Ok(host)) = (target.parse::<Uri>(), http::HeaderValue::try_from(host)) {
            let headers = HeaderMap::from_iter([(header::HOST, host)]);
            let _ = read(&Method::GET, &uri, Version::HTTP_11, &headers);
        }
    }
}
