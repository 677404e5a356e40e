//! Hand-over codes in wrong hands.

use super::{BROWSER, Played, far, redeem};
use crate::house::rest;
use crate::scene::{By, TooFar, Tried};

/// Each code is for one browser, at one host, for one minute, once.
pub(crate) fn handed_over() -> Vec<TooFar> {
    let row = |name, tried: Played<Tried>| far(name, "sign_in.airflow", "handover-refused", tried);
    vec![
        row("a stolen code in another browser", |s| {
            Box::pin(async move {
                let code = s.code().await;
                s.handed(s.redeems(&code, &s.host(s.cluster), "another browser's").await)
                    .await
            })
        }),
        row("a stolen code without any cookie", |s| {
            Box::pin(async move {
                let code = s.code().await;
                s.handed(s.redeems(&code, &s.host(s.cluster), "").await).await
            })
        }),
        row("a code at another host", |s| {
            Box::pin(async move {
                let code = s.code().await;
                s.handed(s.redeems(&code, "127.0.0.9:7701", BROWSER).await).await
            })
        }),
        row("a code for the second time", |s| {
            Box::pin(async move {
                let code = s.code().await;
                let first = redeem(&code, &s.host(s.cluster), BROWSER, s.house.somewhere());
                s.house.first.ask_as_edge(first).await.must_be(200);
                let hostile = s.redeems(&code, &s.host(s.cluster), BROWSER).await;
                Tried {
                    by: By::Nobody,
                    ..s.handed(hostile).await
                }
            })
        }),
        row("a code that somebody else tried first", |s| {
            Box::pin(async move {
                let code = s.code().await;
                let first = redeem(&code, &s.host(s.cluster), "a thief's", s.house.somewhere());
                s.house.first.ask_as_edge(first).await.must_be(403);
                let hostile = s.redeems(&code, &s.host(s.cluster), BROWSER).await;
                Tried {
                    by: By::Nobody,
                    ..s.handed(hostile).await
                }
            })
        }),
        row("a code of a session that ended", |s| {
            Box::pin(async move {
                let gone = s.second().await;
                let code = s.code_of(&gone).await;
                s.done(rest("DELETE", "/sessions/current").bearer(&gone.token).empty())
                    .await;
                let hostile = s.redeems(&code, &s.host(s.cluster), BROWSER).await;
                Tried {
                    by: By::Nobody,
                    ..s.handed(hostile).await
                }
            })
        }),
        row("a code that was never given", |s| {
            Box::pin(async move {
                let hostile = s.redeems(&"x".repeat(43), &s.host(s.cluster), BROWSER).await;
                Tried {
                    by: By::Nobody,
                    ..s.handed(hostile).await
                }
            })
        }),
    ]
}
