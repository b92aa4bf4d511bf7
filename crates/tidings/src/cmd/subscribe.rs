use crate::cli::Subscribe;
pub(crate) async fn run(_: Subscribe) -> anyhow::Result<()> {
    Ok(())
}
