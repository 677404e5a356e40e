//! Bugs that systems of this kind are known to have had. Each can be switched on in the world, never in the product, so
//! that it is shown that schedules find it.

/// What a driver of the world does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The provider is asked for a node before its record is committed.
    LaunchesBeforeRecord,
    /// Each try of a launch has a token of its own.
    FreshTokenEachTry,
    /// A node counts as found whose name fits, whoever's it is.
    AdoptsByName,
    /// What the list lacks is not there, however short ago it was launched.
    IgnoresListingLag,
    /// Writes although another holds the lease by now.
    IgnoresFence,
    /// A node is gone once the provider was asked to end it, whatever came of that.
    ForgetsWhatItAskedToEnd,
    /// No answer of the provider means no nodes.
    TakesSilenceOfProviderForGone,
    /// The sweep ends what no record names an id of yet.
    SweepsWhatIsBeingLaunched,
    /// A machine that was switched off counts as running.
    TakesStoppedForRunning,
    /// A machine that fails its provider's checks counts as well for as long as its agent reports.
    TakesImpairedForRunning,
    /// The cluster's record ends while its nodes are still ending.
    DeletesBeforeNodesAreGone,
    /// A node counts as silent that talks to another control.
    HearsWithItsOwnEarsOnly,
    /// What it heard itself counts more than what another control recorded since.
    TrustsItsMemoryMost,
    /// A node counts as silent whose report another control has just recorded.
    OverlooksRecordedReports,
    /// Silence counts while the control itself stood still.
    BlamesNodesForItsOwnSleep,
    /// Times of records are compared with the control's own clock.
    GoesByItsOwnClock,
    /// The network counts as removed once that was asked for, whatever came of it.
    TakesNetworkForRemoved,
    /// A launch that was refused counts as accepted.
    TakesRefusalForLaunch,
    /// A launch that nobody answered counts as accepted.
    TakesSilenceForLaunch,
    /// What was refused once is never asked for again.
    GivesUpAtRefusal,
    /// An operation that has failed is left as it is.
    TellsNoFailure,
    /// The bucket counts as removed once that was asked for, whatever came of it.
    TakesBucketForRemoved,
    /// The same of the database.
    TakesDatabaseForDropped,
    /// Bucket and database count as made once that was asked for, whatever came of it.
    TakesPartsForMade,
    /// Secrets go while what they open is there.
    RemovesSecretsFirst,
    /// Nobody looks for volumes that outlived their machines.
    LeavesVolumes,
}

// === impl Bug ===

impl Bug {
    pub(crate) const ALL: [Self; 26] = [
        Self::LaunchesBeforeRecord,
        Self::FreshTokenEachTry,
        Self::AdoptsByName,
        Self::IgnoresListingLag,
        Self::IgnoresFence,
        Self::ForgetsWhatItAskedToEnd,
        Self::TakesSilenceOfProviderForGone,
        Self::SweepsWhatIsBeingLaunched,
        Self::TakesStoppedForRunning,
        Self::TakesImpairedForRunning,
        Self::DeletesBeforeNodesAreGone,
        Self::HearsWithItsOwnEarsOnly,
        Self::TrustsItsMemoryMost,
        Self::OverlooksRecordedReports,
        Self::BlamesNodesForItsOwnSleep,
        Self::GoesByItsOwnClock,
        Self::TakesNetworkForRemoved,
        Self::TakesRefusalForLaunch,
        Self::TakesSilenceForLaunch,
        Self::GivesUpAtRefusal,
        Self::TellsNoFailure,
        Self::TakesBucketForRemoved,
        Self::TakesDatabaseForDropped,
        Self::TakesPartsForMade,
        Self::RemovesSecretsFirst,
        Self::LeavesVolumes,
    ];

    /// The words of the law that it breaks.
    pub(crate) fn breaks(self) -> &'static str {
        match self {
            Self::LaunchesBeforeRecord
            | Self::FreshTokenEachTry
            | Self::IgnoresListingLag
            | Self::ForgetsWhatItAskedToEnd
            | Self::TakesSilenceOfProviderForGone => "two nodes in",
            Self::AdoptsByName => "ends another cluster's node",
            Self::IgnoresFence => "writes although another has the cluster",
            Self::SweepsWhatIsBeingLaunched => "ends a node whose record wants it",
            Self::TakesStoppedForRunning => "gives up a node that only has to be started",
            // Its agent works: nothing ever ends it. And what is left of a deletion keeps its network from going.
            Self::TakesImpairedForRunning | Self::DeletesBeforeNodesAreGone | Self::GivesUpAtRefusal => {
                "does not converge"
            }
            Self::HearsWithItsOwnEarsOnly
            | Self::OverlooksRecordedReports
            | Self::BlamesNodesForItsOwnSleep => "harms a healthy node",
            Self::TrustsItsMemoryMost => "what was reached does not stay",
            Self::GoesByItsOwnClock => "times out of order",
            Self::TakesNetworkForRemoved => "deleted while its network is there",
            Self::TakesRefusalForLaunch | Self::TakesSilenceForLaunch => {
                "counts as launched what was never made"
            }
            Self::TellsNoFailure => "an operation neither ends nor says why",
            Self::TakesPartsForMade => "uses what is not there",
            // What is taken for gone is left without its secrets, and then without its cluster.
            Self::RemovesSecretsFirst | Self::TakesBucketForRemoved | Self::TakesDatabaseForDropped => {
                "its secrets go before what they open"
            }
            Self::LeavesVolumes => "leaked volumes",
        }
    }
}
