//! Edges, as they ask for what they go by.

use updraft_model::EdgeId;
use updraft_store::edges;

use crate::{App, AppError};

impl App {
    /// Notes that an edge lives, and which of the installation's keys it goes by, if it says so.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn note_edge(&self, edge: EdgeId, keys: Option<&[String]>) -> Result<(), AppError> {
        let mut connection = self.store().connection().await?;
        edges::note(&mut connection, edge, keys).await?;
        Ok(())
    }

    /// An edge has ended, as it says itself or its successor does: agents dial to it no more, and no turn of keys waits for it.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn forget_edge(&self, edge: EdgeId) -> Result<(), AppError> {
        let mut connection = self.store().connection().await?;
        edges::forget(&mut connection, edge).await?;
        Ok(())
    }
}
