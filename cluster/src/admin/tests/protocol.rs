use bytes::Bytes;
use tabularaft_schema::{CopyMode, FieldType, IndexDef, TableDef, TableId, TableKind, TableOption};

use crate::admin::protocol::{
    ADMIN_VERSION, AdminReply, AdminRequest, Cursor, FieldFilter, OnLocalData, OperationId, Outcome, Page,
    Progress, ReadMode, ScanRequest, TableRef, TableSwap, WatchPlace, WatchRecords, WatchRequest, WatchScope,
};
use crate::admin::{AdminError, AdminErrorKind, RecordFilter, TableVerdict, VerifyReport};

fn def() -> TableDef {
    let builder = TableDef::builder("route").unwrap().kind(TableKind::Set).copy(CopyMode::Ram);
    builder.field("topic", FieldType::String).field("size", FieldType::U64).key("topic").build().unwrap()
}

fn reference() -> TableRef {
    TableRef { name: "route".parse().unwrap(), id: TableId(7) }
}

fn requests() -> Vec<AdminRequest> {
    let table = || "route".parse().unwrap();
    let node = || "n2@h".parse().unwrap();
    let bytes = || Bytes::from_static(b"\x01a");
    vec![
        AdminRequest::Status,
        AdminRequest::Join { peer: "h:1".into(), on_local_data: OnLocalData::Export },
        AdminRequest::Leave,
        AdminRequest::Remove { name: node(), force: true },
        AdminRequest::TableList,
        AdminRequest::TableInfo { table: table() },
        AdminRequest::TableCreate { def: def() },
        AdminRequest::TableDrop { table: table() },
        AdminRequest::TableClear { table: table() },
        AdminRequest::CopyTable { table: table(), to: node(), from: None, mode: CopyMode::DiscOnly },
        AdminRequest::DeleteCopy { table: table(), on: node() },
        AdminRequest::PutMany { table: reference(), records: vec![bytes()] },
        AdminRequest::Get { table: reference(), key: bytes(), read: ReadMode::Linearizable },
        AdminRequest::Delete { table: reference(), key: bytes() },
        AdminRequest::Scan(scan()),
        AdminRequest::Verify,
        AdminRequest::Progress { operation: OperationId(5) },
        AdminRequest::TableRename { table: table(), to: table() },
        AdminRequest::TableSet { table: table(), options: vec![TableOption::ReadOnly(true)] },
        AdminRequest::TableCopyMode { table: table(), mode: CopyMode::Disc },
        AdminRequest::MoveCopy { table: table(), from: node(), to: node() },
        AdminRequest::BackupBegin { tables: vec![table()], read: ReadMode::Linearizable },
        AdminRequest::BackupRead { backup: 6, part: 7 },
        AdminRequest::BackupEnd { backup: 6 },
        AdminRequest::ContentDigest { table: reference() },
        AdminRequest::SwapTables { swaps: vec![swap()] },
        AdminRequest::VerifyContent,
        AdminRequest::Watch(WatchRequest {
            scope: WatchScope::Table { table: reference(), records: WatchRecords::Key(bytes()) },
            after: Some(WatchPlace { index: 5, given: 6 }),
            wait_ms: 7,
        }),
        AdminRequest::TableTransform { table: table(), shape: def().shape, now: true },
        AdminRequest::FormerShapes { table: table() },
        AdminRequest::IndexAdd { table: table(), index: IndexDef::on_field("size").unique() },
        AdminRequest::IndexDrop { table: table(), index: "size".into() },
        AdminRequest::IndexList { table: table() },
        AdminRequest::Explain(scan()),
        AdminRequest::SwapTablesIfEmpty { swaps: vec![swap()], empty: vec![TableId(3)] },
    ]
}

fn scan() -> ScanRequest {
    let bytes = || Bytes::from_static(b"\x01a");
    ScanRequest {
        table: reference(),
        from: Some(bytes()),
        to: None,
        prefix: None,
        filters: vec![FieldFilter { field: "size".into(), equals: "1".into() }],
        reverse: true,
        limit: 3,
        after: Some(Cursor(bytes())),
        read: ReadMode::Local,
    }
}

fn swap() -> TableSwap {
    TableSwap {
        table: reference(),
        takes: "route".parse().unwrap(),
        replaces: Some(TableId(3)),
        options: vec![TableOption::ReadOnly(true)],
    }
}

#[test]
fn every_request_is_read_as_it_was_written_and_keeps_its_tag() {
    for (tag, request) in (0_u8..).zip(requests()) {
        let bytes = request.encode();
        assert_eq!(bytes[..2], [ADMIN_VERSION, tag], "{request:?}");
        assert_eq!(AdminRequest::decode(&bytes).unwrap(), request);
    }
}

#[test]
fn answers_are_read_as_they_were_written() {
    let report = VerifyReport {
        log_index: 7,
        tables: vec![TableVerdict { table: "route".parse().unwrap(), equal: true, copies: Vec::new() }],
        unreachable: vec!["n3@h".parse().unwrap()],
    };
    let progress = |finished| Progress {
        phase: "compare".into(),
        records_done: 1,
        records_total: Some(2),
        bytes_done: 3,
        bytes_total: None,
        finished,
    };
    for answer in [
        Ok(AdminReply::TableCreated { id: TableId(7), new: true }),
        Ok(AdminReply::Page(Page { records: vec![Bytes::from_static(b"r")], next: None, log_index: 9 })),
        Ok(AdminReply::Progress(progress(None))),
        Ok(AdminReply::Progress(progress(Some(Ok(Outcome::Verified(report)))))),
        Ok(AdminReply::Progress(progress(Some(Err(AdminError::refused("no")))))),
        Ok(AdminReply::BackupBegun { backup: 1, records_total: 2 }),
        Ok(AdminReply::BackupPart { bytes: Bytes::from_static(b"part"), records: 3, last: true }),
        Ok(AdminReply::Done),
        Ok(AdminReply::ContentDigest(tabularaft_store::ContentDigest { records: 1, sum: 1 << 100 })),
        Err(AdminError::not_found("no table")),
    ] {
        assert_eq!(AdminReply::decode(&AdminReply::encode(&answer)), answer);
    }
}

#[test]
fn garbage_is_an_error_and_no_panic() {
    let good = AdminRequest::Verify.encode();
    let mut long = good.to_vec();
    long.push(0);
    let other_version = [ADMIN_VERSION + 1, 0];
    for (bytes, why) in [
        (&[][..], "empty"),
        (&other_version[..], "version 2"),
        (&[ADMIN_VERSION][..], "does not understand"),
        (&[ADMIN_VERSION, 200, 1][..], "does not understand"),
        (&long[..], "1 bytes too many"),
    ] {
        let error = AdminRequest::decode(bytes).unwrap_err();
        assert_eq!(error.kind, AdminErrorKind::Invalid);
        assert!(error.message.contains(why), "{}", error.message);
    }
    for length in 0..40 {
        // Whatever it is taken for, it must not bring the node down.
        let _ = AdminRequest::decode(&vec![0xff; length]);
        let _ = AdminReply::decode(&vec![1; length]);
    }
}

#[test]
fn a_filter_passes_the_records_whose_fields_are_equal() {
    let def = def();
    let record = |topic: &str, size: u64| {
        def.shape.from_json(&serde_json::json!({ "topic": topic, "size": size })).unwrap()
    };
    let filter = |field: &str, equals: &str| FieldFilter { field: field.into(), equals: equals.into() };
    let both = RecordFilter::new(&def, &[filter("topic", "\"a\""), filter("size", "1")]).unwrap();
    assert!(both.passes(&def, &record("a", 1)));
    assert!(!both.passes(&def, &record("a", 2)) && !both.passes(&def, &record("b", 1)));
    assert!(!both.passes(&def, b"\xff"), "what is no record passes no filter");
    assert!(RecordFilter::new(&def, &[]).unwrap().passes(&def, &record("a", 1)));
    for (bad, named) in
        [(filter("colour", "1"), "colour"), (filter("size", "\"a\""), "size"), (filter("size", "{"), "size")]
    {
        let error = RecordFilter::new(&def, &[bad]).unwrap_err();
        assert!(error.kind == AdminErrorKind::Invalid && error.message.contains(named), "{error}");
    }
}
