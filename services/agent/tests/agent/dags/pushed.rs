//! Archives that somebody else packed.

use super::{Disk, Source, files, push, push_delivery};

#[tokio::test]
async fn what_was_pushed_is_live_and_hostile_archives_are_refused_by_name() {
    use tar::EntryType::{Fifo, Link, Regular, Symlink};
    let source = Source::new();
    let mut disk = Disk::new();
    disk.run(&source, push_delivery());
    // Nothing was pushed yet: the cluster starts without DAGs.
    disk.serves(&[]).await;
    push(&source, &[(Regular, b"./a.py", "1"), (Symlink, b"b.py", "a.py")]).await;
    disk.serves(&[("a.py", "1"), ("b.py", "1")]).await;
    for (bad, shown) in [
        ((Symlink, b"passwd".as_slice(), "/etc/passwd"), "`passwd`"),
        ((Symlink, b"up".as_slice(), "../../x"), "`up`"),
        ((Fifo, b"pipe".as_slice(), ""), "`pipe`"),
        ((Link, b"hard".as_slice(), ""), "`hard`"),
        ((Regular, b"caf\xe9.py".as_slice(), "x"), "caf\\xe9.py"),
        ((Regular, b"../escape.py".as_slice(), "x"), "escape.py"),
        ((Regular, b"/etc/cron.d/x".as_slice(), "x"), "cron.d"),
        ((Regular, b"A.py".as_slice(), "x"), "only in case"),
    ] {
        push(&source, &[(Regular, b"a.py", "2"), bad]).await;
        disk.wishes.send_modify(|wishes| wishes.sync += 1);
        let reason = disk.trouble().await;
        assert!(reason.contains(shown), "{shown}: {reason}");
        assert_eq!(disk.live(), files(&[("a.py", "1"), ("b.py", "1")]));
    }
    push(&source, &[(Regular, b"a.py", "3")]).await;
    disk.serves(&[("a.py", "3")]).await;
}
