use crate::cli::Publish;
pub(crate) async fn run(_: Publish) -> anyhow::Result<()> {
    Ok(())
}
