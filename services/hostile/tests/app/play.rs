//! All rows of a suite, a few at once; what fails is told of each, not only of the first.

use std::panic::AssertUnwindSafe;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};

const AT_ONCE: usize = 6;

pub(crate) async fn play_all<'p>(plays: impl IntoIterator<Item = BoxFuture<'p, ()>>) {
    let failed = stream::iter(plays)
        .map(|play| AssertUnwindSafe(play).catch_unwind())
        .buffer_unordered(AT_ONCE)
        .filter(|played| std::future::ready(played.is_err()))
        .count()
        .await;
    assert_eq!(failed, 0, "rows failed, as said above");
}
