//! `recover`

use std::time::Duration;

use tabularaft::recover::{DamagedNode, Plan, Survivor};
use tabularaft::{LocalData, Node, NodeBuilder, NodeConfig};

use crate::args::{GlobalArgs, RecoverArgs};
use crate::failure::{Failure, Outcome};
use crate::node_file;
use crate::output;
use crate::session::read_secret;

/// How long the tables of a rebuilt node may take to be loaded, once it has joined with all of them copied.
const LOAD_TIMEOUT: Duration = Duration::from_secs(600);

pub(super) async fn run(global: &GlobalArgs, args: RecoverArgs) -> Outcome {
    match args.from_cluster.clone() {
        Some(peer) => rebuild(global, &args, &peer).await,
        None => {
            let done = tokio::task::spawn_blocking(move || keep(&args));
            done.await.map_err(Failure::new)?
        }
    }
}

/// Goes on without the majority, or says what that would mean.
fn keep(args: &RecoverArgs) -> Outcome {
    let survivor = Survivor::open(&args.data_dir).map_err(|error| Failure::of(&error))?;
    let plan = match survivor.plan(&args.keep) {
        Ok(plan) => plan,
        Err(error) => {
            survivor.leave();
            return Err(Failure::of(&error));
        }
    };
    if !args.yes {
        survivor.leave();
        show(args, &plan)?;
        return Err(Failure::new("nothing was changed: give --yes to do it"));
    }
    let record = survivor.go_on(&plan).map_err(|error| Failure::of(&error))?;
    show(args, &plan)?;
    if args.output.json {
        return Ok(());
    }
    output::print(&format!(
        "done: cluster {:032x} is {:032x} from log index {} on; start {} as ever\n",
        record.former_id, record.cluster_id, record.at, record.by
    ))
}

fn show(args: &RecoverArgs, plan: &Plan) -> Outcome {
    if args.output.json { output::print_json(plan) } else { output::print(&plan.to_string()) }
}

/// Puts the node's data aside and lets it join its cluster as a new one of the same name.
async fn rebuild(global: &GlobalArgs, args: &RecoverArgs, peer: &str) -> Outcome {
    let damaged =
        DamagedNode::open(&args.data_dir, args.name.clone()).map_err(|error| Failure::of(&error))?;
    let builder = builder(global, args, &damaged)?.join(peer);
    let name = damaged.name().clone();
    let aside = damaged.put_aside().map_err(|error| Failure::of(&error))?;
    let kept = aside.path().display().to_string();
    let node = match builder.start().await {
        Ok(node) => node,
        Err(error) => {
            let back = match aside.bring_back() {
                Ok(()) => "the data is back as it was".to_owned(),
                Err(error) => format!("and the data is still in {kept}: {error}"),
            };
            return Err(Failure::new(format_args!("{}; {back}", Failure::of(&error).message())));
        }
    };
    let ready = node.wait_for_tables(&[], LOAD_TIMEOUT).await;
    node.shutdown().await;
    ready.map_err(|error| Failure::of(&error))?;
    output::print(&format!(
        "rebuilt {name} from {peer}; start it as ever, and delete {kept} when you need it no more\n"
    ))
}

fn builder(global: &GlobalArgs, args: &RecoverArgs, damaged: &DamagedNode) -> Outcome<NodeBuilder> {
    let known = damaged.advertise().and_then(|address| address.parse().ok());
    let listen = args.listen.or(known).ok_or_else(|| {
        Failure::new("where this node listens is not known: give --listen, and --advertise if need be")
    })?;
    let mut config = match &args.config {
        Some(path) => node_file::read(path)?,
        None => NodeConfig::default(),
    };
    if let (None, Some(cluster)) = (&args.config, damaged.cluster()) {
        cluster.clone_into(&mut config.cluster_name);
    }
    let mut builder = Node::builder(damaged.name().as_str())
        .listen(listen.to_string())
        .config(config)
        .data_dir(&args.data_dir)
        .on_local_data(LocalData::Discard);
    if let Some(address) = args.advertise.clone().or_else(|| damaged.advertise().map(str::to_owned)) {
        builder = builder.advertise(address);
    }
    if let Some(secret) = read_secret(global)? {
        builder = builder.secret(secret);
    }
    Ok(builder)
}
