use askama::Template;
use updraft_api::logs::{LogPage, LogStop};

use super::{LogsPage, Wanted};
use crate::{fixtures, fixtures_logs};

fn asked(service: &str) -> Wanted {
    Wanted {
        service: service.into(),
        ..Wanted::default()
    }
}

fn page(asked: Wanted, found: &LogPage) -> String {
    let html = fixtures_logs::page(fixtures::frame(), asked, found)
        .render()
        .unwrap();
    fixtures::assert_accessible(&html);
    html
}

#[test]
fn lines_say_when_where_and_what_and_hostile_text_stays_text() {
    let html = page(asked("services"), &fixtures_logs::services());
    assert!(
        html.contains("worker-2/worker") && html.contains(">error</b>"),
        "{html}"
    );
    assert!(
        html.contains("&#60;script&#62;") && !html.contains("<script>alert"),
        "{html}"
    );
    assert!(
        html.contains(r#"data-live="/live/clusters/1/logs?service=services&#38;from="#),
        "{html}"
    );
    assert!(
        html.contains("/clusters/1/logs/older?service=services&#38;cursor=6e"),
        "{html}"
    );
    assert!(html.contains("/clusters/1/logs/text?service=services"), "{html}");
}

#[test]
fn a_tasks_lines_name_the_task_unless_the_question_does() {
    let html = page(asked("tasks"), &fixtures_logs::tasks());
    assert!(html.contains("worker-1 orders_hourly.load[3] #2"), "{html}");
    let one = Wanted {
        dag: "orders_hourly".into(),
        run: "r".into(),
        task: "load".into(),
        attempt: "2".into(),
        ..Wanted::default()
    };
    let html = page(one, &fixtures_logs::tasks());
    assert!(
        html.contains(r#"<span class="log-from">worker-1</span>"#),
        "{html}"
    );
    assert!(html.contains("Nothing is older"), "{html}");
}

#[test]
fn an_empty_log_says_why_and_what_to_do() {
    let nothing = LogPage::default();
    assert!(page(asked("services"), &nothing).contains("Nothing has been written yet"));
    assert!(page(asked("tasks"), &nothing).contains("No task has written anything yet"));
    let narrow = Wanted {
        search: "timeout".into(),
        ..asked("worker")
    };
    let html = page(narrow.clone(), &nothing);
    assert!(
        html.contains("No line is like that") && html.contains("?service=worker\">show all"),
        "{html}"
    );
    let stopped = LogPage {
        next: Some("6e".into()),
        stopped: Some(LogStop {
            at: None,
            why: "64 MiB in 80 objects were read: go on from here.".into(),
        }),
        ..LogPage::default()
    };
    let html = page(narrow, &stopped);
    assert!(
        html.contains("64 MiB in 80 objects") && html.contains("Go on to older lines"),
        "{html}"
    );
}

#[test]
fn what_ended_in_the_past_is_not_followed() {
    let past = Wanted {
        until: "2026-11-20".into(),
        ..asked("services")
    };
    let html = page(past, &fixtures_logs::services());
    assert!(
        !html.contains("data-live") && html.contains("Newest lines</a>"),
        "{html}"
    );
}

#[test]
fn a_user_is_offered_tasks_alone() {
    let mut cluster = fixtures::cluster(1, "demo");
    cluster.role = updraft_model::ClusterRole::User;
    let asked = Wanted::default().for_role(cluster.role);
    let page = LogsPage::new(
        fixtures::frame(),
        &cluster,
        asked,
        &LogPage::default(),
        fixtures::now(),
    );
    let html = page.render().unwrap();
    assert!(
        !html.contains("scheduler</option>") && html.contains(">Tasks</option>"),
        "{html}"
    );
}
