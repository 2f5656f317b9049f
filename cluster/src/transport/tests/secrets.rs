//! Secret files.

use std::fs;

use super::*;

#[test]
fn a_secret_survives_its_file_and_hides_from_debug() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let secret = Secret::generate().unwrap();
    secret.save_new(&path).unwrap();
    assert!(Secret::load(&path).unwrap() == secret);
    assert!(Secret::generate().unwrap() != secret);
    assert_eq!(format!("{secret:?}"), "Secret(hidden)");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("tabularaft-secret-v1:") && text.ends_with('\n'));
    assert!(matches!(secret.save_new(&path), Err(SecretError::Exists { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "an existing file stays as it is");
}

#[cfg(unix)]
#[test]
fn a_secret_file_that_others_can_read_is_refused_with_the_way_out() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    Secret::generate().unwrap().save_new(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = Secret::load(&path).unwrap_err();
        assert!(matches!(error, SecretError::Exposed { mode: actual, .. } if actual == mode), "{error}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    Secret::load(&path).unwrap();
}

#[test]
fn a_file_that_is_no_secret_is_refused_with_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let short = "tabularaft-secret-v1:AAAA\n";
    let cases =
        [("", "start"), ("hello\n", "start"), ("tabularaft-secret-v1:%%%\n", "base64"), (short, "3 bytes")];
    for (i, (text, what)) in cases.into_iter().enumerate() {
        let path = dir.path().join(i.to_string());
        Secret::generate().unwrap().save_new(&path).unwrap();
        fs::write(&path, text).unwrap();
        let error = Secret::load(&path).unwrap_err();
        assert!(matches!(error, SecretError::Format { .. }) && error.to_string().contains(what), "{error}");
    }
    let error = Secret::load(dir.path().join("absent")).unwrap_err();
    assert!(matches!(error, SecretError::Read { .. }), "{error}");
}
