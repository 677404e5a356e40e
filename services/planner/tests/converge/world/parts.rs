//! What a cluster has beside its nodes, as it is whatever is recorded of it: a bucket, and a role and a database on a
//! server of their own. Calls to either may fail before they took effect, halfway, or after it.

use super::dice::Dice;

/// What fails now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Bucket,
    Database,
    /// Control's own database: a transaction fails, or is committed and nobody hears of it.
    Records,
}

#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) bucket: bool,
    pub(crate) role: bool,
    pub(crate) database: bool,
    /// Whether a driver made the bucket when its lease was over: nothing finds it once the cluster is deleted.
    pub(crate) late_bucket: bool,
    /// Of 100 calls, so many fail: of each part.
    ailing: [u8; 3],
    dice: Dice,
}

/// How far a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Done,
    Nowhere,
    Halfway,
    /// And its answer was lost.
    ToTheEnd,
}

// === impl Parts ===

impl Parts {
    /// Of each part so many calls of 100 fail.
    pub(crate) fn new(seed: u64, ailing: [u8; 3]) -> Self {
        Self {
            bucket: false,
            role: false,
            database: false,
            late_bucket: false,
            ailing,
            dice: Dice::new(seed),
        }
    }

    pub(crate) fn ail(&mut self, part: Part, percent: u8) {
        self.ailing[part as usize] = percent;
    }

    /// How far a call to it comes.
    pub(crate) fn reach(&mut self, part: Part) -> Reach {
        let percent = self.ailing[part as usize];
        if percent == 0 || self.dice.percent(100) >= percent {
            return Reach::Done;
        }
        [Reach::Nowhere, Reach::Halfway, Reach::ToTheEnd][self.dice.index(3)]
    }

    /// The bucket comes first, then who may use it.
    pub(crate) fn ensure_bucket(&mut self, is_held: bool) -> Result<(), String> {
        let reach = self.reach(Part::Bucket);
        if reach != Reach::Nowhere {
            self.late_bucket = !is_held && (!self.bucket || self.late_bucket);
            self.bucket = true;
        }
        reach.answer("the storage does not answer")
    }

    /// Its objects go first.
    pub(crate) fn remove_bucket(&mut self) -> Result<(), String> {
        let reach = self.reach(Part::Bucket);
        if reach.is_whole() {
            (self.bucket, self.late_bucket) = (false, false);
        }
        reach.answer("the bucket stays")
    }

    /// The role comes first. Also whether it has the password that it was given.
    pub(crate) fn ensure_database(&mut self) -> (bool, Result<(), String>) {
        let reach = self.reach(Part::Database);
        let has_role = reach != Reach::Nowhere;
        self.role |= has_role;
        self.database |= reach.is_whole();
        (has_role, reach.answer("the database's server does not answer"))
    }

    /// The role goes last.
    pub(crate) fn drop_database(&mut self) -> Result<(), String> {
        let reach = self.reach(Part::Database);
        self.database &= reach == Reach::Nowhere;
        self.role &= !reach.is_whole();
        reach.answer("the database's server does not answer")
    }

    /// What there is of it, and what somebody looks after.
    pub(crate) fn left(&self) -> Option<&'static str> {
        match self {
            Self {
                bucket: true,
                late_bucket: false,
                ..
            } => Some("bucket"),
            Self { database: true, .. } => Some("database"),
            Self { role: true, .. } => Some("database's role"),
            Self { .. } => None,
        }
    }
}

// === impl Reach ===

impl Reach {
    pub(crate) fn is_whole(self) -> bool {
        matches!(self, Self::Done | Self::ToTheEnd)
    }

    fn answer(self, otherwise: &str) -> Result<(), String> {
        match self {
            Self::Done => Ok(()),
            Self::Nowhere | Self::Halfway | Self::ToTheEnd => Err(otherwise.to_owned()),
        }
    }
}
