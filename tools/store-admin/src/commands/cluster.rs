//! `cluster status|join|leave|remove`

use tabularaft::admin::AdminErrorKind;

use crate::args::{ClusterCommand, GlobalArgs, JoinArgs, RemoveArgs};
use crate::failure::Outcome;
use crate::output;
use crate::session::connect;

use super::with_bar;

pub(super) async fn run(global: &GlobalArgs, command: ClusterCommand) -> Outcome {
    match command {
        ClusterCommand::Status(flag) => status(global, flag.json).await,
        ClusterCommand::Join(args) => join(global, &args).await,
        ClusterCommand::Leave => leave(global).await,
        ClusterCommand::Remove(args) => remove(global, &args).await,
    }
}

async fn status(global: &GlobalArgs, json: bool) -> Outcome {
    let client = connect(global).await?;
    let status = client.status().await?;
    let recoveries = match client.recoveries().await {
        // An older node does not know the question.
        Err(error) if error.kind == AdminErrorKind::Invalid => Vec::new(),
        answer => answer?,
    };
    let shown = output::ShownStatus { status, recoveries };
    if json { output::print_json(&shown) } else { output::print(&output::status_text(&shown)) }
}

async fn join(global: &GlobalArgs, args: &JoinArgs) -> Outcome {
    let client = connect(global).await?;
    let title = format!("join {}", args.peer);
    let (changed, exported) = with_bar(&title, global, async |progress| {
        client.join(&args.peer, args.on_local_data.into(), progress).await
    })
    .await?;
    for path in &exported {
        output::print(&format!("exported {path}\n"))?;
    }
    if changed {
        output::print(&format!("the node at {} joined the cluster of {}\n", global.node, args.peer))
    } else {
        output::print(&format!("ignored: {} is the node itself\n", args.peer))
    }
}

async fn leave(global: &GlobalArgs) -> Outcome {
    let client = connect(global).await?;
    with_bar("leave", global, async |progress| client.leave(progress).await).await?;
    output::print(&format!("the node at {} left its cluster and serves alone\n", global.node))
}

async fn remove(global: &GlobalArgs, args: &RemoveArgs) -> Outcome {
    let client = connect(global).await?;
    let title = format!("remove {}", args.name);
    with_bar(&title, global, async |progress| client.remove(&args.name, args.force, progress).await).await?;
    output::print(&format!("removed {}\n", args.name))
}
