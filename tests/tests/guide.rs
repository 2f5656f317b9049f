//! The guide's page on Mnesia is complete, and what it names is there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// What `mnesia` exports for users, OTP 25: a name is found on the page as `name/`, followed by its arities.
const EXPORTED: &[&str] = &[
    "abort",
    "activate_checkpoint",
    "activity",
    "add_table_copy",
    "add_table_index",
    "all_keys",
    "async_dirty",
    "backup",
    "backup_checkpoint",
    "change_config",
    "change_table_access_mode",
    "change_table_copy_type",
    "change_table_frag",
    "change_table_load_order",
    "change_table_majority",
    "clear_table",
    "create_schema",
    "create_table",
    "deactivate_checkpoint",
    "del_table_copy",
    "del_table_index",
    "delete",
    "delete_object",
    "delete_schema",
    "delete_table",
    "delete_table_property",
    "dirty_all_keys",
    "dirty_delete",
    "dirty_delete_object",
    "dirty_first",
    "dirty_index_match_object",
    "dirty_index_read",
    "dirty_last",
    "dirty_match_object",
    "dirty_next",
    "dirty_prev",
    "dirty_read",
    "dirty_select",
    "dirty_slot",
    "dirty_update_counter",
    "dirty_write",
    "dump_log",
    "dump_tables",
    "dump_to_textfile",
    "error_description",
    "ets",
    "first",
    "foldl",
    "foldr",
    "force_load_table",
    "index_match_object",
    "index_read",
    "info",
    "install_fallback",
    "is_transaction",
    "kill",
    "last",
    "lkill",
    "load_textfile",
    "lock",
    "match_object",
    "move_table_copy",
    "next",
    "prev",
    "read",
    "read_lock_table",
    "read_table_property",
    "report_event",
    "restore",
    "s_delete",
    "s_delete_object",
    "s_write",
    "schema",
    "select",
    "set_debug_level",
    "set_master_nodes",
    "snmp_close_table",
    "snmp_get_mnesia_key",
    "snmp_get_next_index",
    "snmp_get_row",
    "snmp_open_table",
    "start",
    "stop",
    "subscribe",
    "sync_dirty",
    "sync_log",
    "sync_transaction",
    "system_info",
    "table",
    "table_info",
    "transaction",
    "transform_table",
    "traverse_backup",
    "uninstall_fallback",
    "unsubscribe",
    "wait_for_tables",
    "wread",
    "write",
    "write_lock_table",
    "write_table_property",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The cells of each row of each table, without headings.
fn rows() -> Vec<Vec<String>> {
    let page = fs::read_to_string(root().join("docs/guide/coming-from-mnesia.md")).unwrap();
    let lines = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Mnesia |"));
    lines
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// The texts between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_exported_function_of_mnesia_has_a_row() {
    let rows = rows();
    let named: Vec<&str> = rows.iter().flat_map(|row| quoted(&row[0])).collect();
    for function in EXPORTED {
        let found = named.iter().any(|name| name.split('/').next() == Some(function) && name.contains('/'));
        assert!(found, "mnesia:{function} has no row in docs/guide/coming-from-mnesia.md");
    }
}

#[test]
fn every_row_names_a_counterpart_or_says_why_there_is_none() {
    for row in rows() {
        assert_eq!(row.len(), 3, "{row:?}");
        let shown = row[2].as_str();
        assert!(
            shown != "-" || row[1].starts_with("none"),
            "only what there is not has nothing to show: {row:?}"
        );
    }
}

#[test]
fn every_test_and_example_that_the_page_names_exists() {
    let mut named = 0;
    for row in rows().iter().filter(|row| row[2] != "-") {
        let places = quoted(&row[2]);
        assert!(!places.is_empty(), "{row:?} names no test");
        for place in places {
            let (file, test) =
                place.split_once("::").map_or((place, None), |(file, test)| (file, Some(test)));
            let text =
                fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{place}: {error}"));
            if let Some(test) = test {
                assert!(text.contains(&format!("fn {test}()")), "{file} has no test {test}");
            } else {
                let shows = text.contains("#[test]") || file.contains("/examples/");
                assert!(shows, "{file} has neither a test nor is it an example");
            }
            named += 1;
        }
    }
    assert!(named > 50, "{named}");
}
