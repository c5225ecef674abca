//! Files between this machine and the server, over connections that may be cut.
//!
//! Owns the going on from where a transfer was cut, its progress bar, and the digest of what was read or written. A file that came
//! down gets its name only once it has the digest that its instance signed. It gives up after a few tries that bring nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orderly_signing::Digest;
use orderly_signing::digest::DigestWriter;
use orderly_wire::http::file::Received;
use reqwest::Body;

use crate::client::{Broken, Client, STALLED};
use crate::error::{Failure, OrFail as _};
use crate::output::{Printer, printable};

/// Bytes that are read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Tries in a row that may bring nothing.
const FRUITLESS_MAX: u32 = 6;

/// The first wait between two tries; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// A file of this machine, with what an order says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    /// SHA-256.
    pub(crate) digest: Digest,
    /// Bytes.
    pub(crate) bytes: u64,
}

/// Digests a file.
///
/// # Errors
/// It is no regular file, or cannot be read.
pub(crate) fn content(path: &Path) -> Result<Content, Failure> {
    let failed = || format!("cannot read `{}`", path.display());
    let mut file = File::open(path).or_usage(failed)?;
    if !file.metadata().or_usage(failed)?.is_file() {
        return Err(Failure::usage(format!("`{}` is not a regular file", path.display())));
    }
    let mut writer = DigestWriter::new();
    let bytes = digest_rest(&mut file, &mut writer).or_usage(failed)?;
    Ok(Content { digest: writer.finish(), bytes })
}

fn digest_rest(file: &mut File, writer: &mut DigestWriter) -> std::io::Result<u64> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes = 0;
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok(bytes);
        }
        writer.update(piece.get(..count).unwrap_or_default());
        bytes += count as u64;
    }
}

/// Brings a file to the server, unless its content is there already.
///
/// # Errors
/// The server refuses it, or it could not be brought over.
pub(crate) async fn upload(client: &Client, printer: &Printer, path: &Path, content: Content) -> Result<(), Failure> {
    let url = format!("/v1/blobs/{}", content.digest);
    let bar = bar(printer, &path.display().to_string(), content.bytes);
    let mut tries = Tries::default();
    loop {
        let state: Received = client.get(&url).await?;
        if state.digest == Some(content.digest) {
            bar.finish_and_clear();
            return Ok(());
        }
        if state.bytes > content.bytes {
            return Err(Failure::server(format!("the server has {} bytes of {}", state.bytes, content.bytes)));
        }
        tries.brought(state.bytes);
        bar.set_position(state.bytes);
        let rest = content.bytes.saturating_sub(state.bytes);
        let body = body(path, state.bytes, rest, bar.clone())?;
        let piece = format!("{url}?bytes={}&offset={}", content.bytes, state.bytes);
        match client.put_rest(&piece, body, rest).await {
            Ok(received) if received.digest == Some(content.digest) => {
                bar.finish_and_clear();
                return Ok(());
            }
            // A server that says yes and never has the file is asked no more often than one that breaks off.
            Ok(_) => tries.pause(Failure::server("the server took the file and does not have it")).await?,
            Err(Broken::Refused(failure)) => return Err(failure),
            Err(Broken::Cut(failure)) => tries.pause(failure).await?,
        }
    }
}

/// The bytes of a file from `offset` on, never more than one piece at a time in memory.
fn body(path: &Path, offset: u64, rest: u64, bar: ProgressBar) -> Result<Body, Failure> {
    let failed = || format!("cannot read `{}`", path.display());
    let mut file = File::open(path).or_usage(failed)?;
    file.seek(SeekFrom::Start(offset)).or_usage(failed)?;
    // Where the file grew meanwhile, what is new is left out; the server sees by the digest whether it is the one.
    let pieces = futures_util::stream::unfold((file.take(rest), bar), |(mut file, bar)| async move {
        let mut piece = vec![0; PIECE_BYTES];
        match file.read(&mut piece) {
            Ok(0) => None,
            Ok(count) => {
                piece.truncate(count);
                bar.inc(count as u64);
                Some((Ok(Bytes::from(piece)), (file, bar)))
            }
            Err(error) => Some((Err(error), (file.into_inner().take(0), bar))),
        }
    });
    Ok(Body::wrap_stream(pieces))
}

/// Fetches the file of a task to `path`, where nothing may be unless `overwrite` says so. What came of it before a cut, in this run of the
/// program or an earlier one, lies beside it with the digest and `.part` behind its name.
///
/// # Errors
/// The server does not give it, it has another digest than its instance signed, or it cannot be written.
pub(crate) async fn download(
    client: &Client,
    printer: &Printer,
    url: &str,
    path: &Path,
    content: Content,
    overwrite: bool,
) -> Result<(), Failure> {
    let failed = || format!("cannot write `{}`", path.display());
    // With its digest in the name: what an earlier run left of other content is not gone on with.
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", content.digest.hex().get(..16).unwrap_or_default()));
    let part = path.with_file_name(name);
    let mut file = open_part(&part).or_usage(failed)?;
    let mut digest = DigestWriter::new();
    let mut have = digest_rest(&mut file, &mut digest).or_usage(failed)?;
    if have > content.bytes {
        file.set_len(0).or_usage(failed)?;
        (have, digest) = (0, DigestWriter::new());
    }
    let bar = bar(printer, &path.display().to_string(), content.bytes);
    let mut tries = Tries::default();
    while have < content.bytes {
        bar.set_position(have);
        tries.brought(have);
        let cut = match client.get_rest(url, have).await {
            Ok(mut response) => loop {
                let piece = match tokio::time::timeout(STALLED, response.chunk()).await {
                    Ok(Ok(Some(piece))) if piece.len() as u64 <= content.bytes - have => piece,
                    Ok(Ok(Some(_))) => {
                        return Err(Failure::not_verified(format!(
                            "the server sends more than the {} bytes that the instance signed for",
                            content.bytes
                        )));
                    }
                    Ok(Ok(None)) => break Failure::server("the server's answer ended too early"),
                    Ok(Err(error)) => {
                        break Failure::server("the server's answer broke off").because(error.without_url());
                    }
                    Err(_) => break Failure::server(format!("the server sent nothing for {STALLED:?}")),
                };
                file.write_all(&piece).or_usage(failed)?;
                digest.update(&piece);
                have += piece.len() as u64;
                bar.set_position(have);
                if have == content.bytes {
                    break Failure::server("");
                }
            },
            Err(Broken::Refused(failure)) => return Err(failure),
            Err(Broken::Cut(failure)) => failure,
        };
        if have < content.bytes {
            tries.pause(cut).await?;
        }
    }
    bar.finish_and_clear();
    let found = digest.finish();
    if found != content.digest {
        let _ = fs::remove_file(&part);
        return Err(Failure::not_verified(format!(
            "the server sent {found} for `{}`, the instance signed for {}",
            path.display(),
            content.digest
        )));
    }
    file.sync_all().or_usage(failed)?;
    place(&part, path, overwrite).or_usage(failed)
}

/// Opens what came of a file so far, for this user alone and never through a link: what instances hold may be secret, and who may
/// write to the directory may not say where it goes.
fn open_part(part: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(part)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("what lies in its place is no regular file"));
    }
    // One of an earlier version was for all to read.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}

/// Gives a whole file its name.
fn place(part: &Path, path: &Path, overwrite: bool) -> std::io::Result<()> {
    if overwrite {
        return fs::rename(part, path);
    }
    // A second name is refused where there is one, which a rename would replace.
    fs::hard_link(part, path)?;
    fs::remove_file(part)
}

/// Tries in a row that brought nothing.
#[derive(Debug, Default)]
struct Tries {
    have: u64,
    fruitless: u32,
}

impl Tries {
    /// Says how much is there.
    fn brought(&mut self, have: u64) {
        if have > self.have {
            (self.have, self.fruitless) = (have, 0);
        }
    }

    /// Waits for the next try, unless there were enough.
    async fn pause(&mut self, failure: Failure) -> Result<(), Failure> {
        self.fruitless += 1;
        if self.fruitless >= FRUITLESS_MAX {
            return Err(failure.hint("what was brought over is kept; the same command goes on from there"));
        }
        tokio::time::sleep(FIRST_PAUSE.saturating_mul(1 << (self.fruitless - 1).min(6))).await;
        Ok(())
    }
}

fn bar(printer: &Printer, name: &str, bytes: u64) -> ProgressBar {
    if !printer.draws_progress() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(printable(name));
    bar
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_pulled_file_is_its_users_alone_and_goes_through_no_planted_link() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (part, other) = (dir.path().join("a.part"), dir.path().join("other"));
        drop(open_part(&part).unwrap());
        assert_eq!(mode(&part), 0o600);
        fs::write(&other, "mine").unwrap();
        fs::set_permissions(&other, fs::Permissions::from_mode(0o644)).unwrap();
        drop(open_part(&other).unwrap());
        assert_eq!((mode(&other), fs::read(&other).unwrap()), (0o600, b"mine".to_vec()), "gone on with");
        let link = dir.path().join("b.part");
        std::os::unix::fs::symlink(&other, &link).unwrap();
        assert!(open_part(&link).is_err());
        assert!(open_part(dir.path()).is_err());
    }
}
