//! `verify`

use tabularaft::admin::VerifyReport;

use crate::args::{GlobalArgs, VerifyArgs};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::session::connect;

use super::with_bar;

/// Compares all copies. Copies that could not be read are no proof of equality, so they are a failure, too.
pub(super) async fn run(global: &GlobalArgs, args: &VerifyArgs) -> Outcome {
    let client = connect(global).await?;
    let report = with_bar("verify", global, async |progress| match args.content {
        true => client.verify_content(progress).await,
        false => client.verify(progress).await,
    });
    let report = report.await?;
    if args.output.json {
        output::print_json(&report)?;
    } else {
        output::print(&output::verdict_text(&report))?;
    }
    judge(&report)
}

fn judge(report: &VerifyReport) -> Outcome {
    let different: Vec<&str> =
        report.tables.iter().filter(|table| !table.equal).map(|table| table.table.as_str()).collect();
    if !different.is_empty() {
        return Err(Failure::new(format_args!("the copies of {} differ", different.join(", "))));
    }
    if !report.unreachable.is_empty() {
        let nodes: Vec<&str> = report.unreachable.iter().map(|node| node.as_str()).collect();
        return Err(Failure::new(format_args!(
            "the copies on {} could not be compared; start these nodes or remove them from the cluster",
            nodes.join(", ")
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tabularaft::admin::TableVerdict;

    use super::*;

    fn report(equal: bool, unreachable: &[&str]) -> VerifyReport {
        VerifyReport {
            log_index: 7,
            tables: vec![TableVerdict { table: "route".parse().unwrap(), equal, copies: Vec::new() }],
            unreachable: unreachable.iter().map(|name| name.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn tables_that_differ_and_nodes_that_were_not_reached_are_failures_that_name_them() {
        assert!(judge(&report(true, &[])).is_ok());
        let Err(Failure::Said(message)) = judge(&report(false, &[])) else { panic!("differs") };
        assert_eq!(message, "the copies of route differ");
        let Err(Failure::Said(message)) = judge(&report(true, &["n2@h"])) else { panic!("incomplete") };
        assert!(message.contains("n2@h"), "{message}");
    }
}
