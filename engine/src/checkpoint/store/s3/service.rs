//! The service: one thread that speaks to it, and calls that wait for the answer.
//!
//! The client is asynchronous. Its runtime has a thread of its own, so that the caller may be
//! any thread and no core ever drives it. Promises: a call ends within about half a minute,
//! whatever the network does; what may be sent again is, for some seconds.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::mpsc::channel;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey as Key};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, Error as Refusal, MultipartUpload, ObjectStore, ObjectStoreExt,
    PutMode, PutPayload, Result as Answered, RetryConfig,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::address::Address;
use super::trouble;

/// Bytes of an object that one request sends or fetches. S3 allows pieces of 5 MiB and more, and
/// 10 000 pieces per object: 80 GiB for each core.
pub const REQUEST_BYTES: usize = 8 << 20;

/// A connection takes no longer, or there is none.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A request takes no longer: a piece then needs half a megabyte a second.
const REQUEST_MAX: Duration = Duration::from_secs(15);

/// Failed requests are sent again within this time. With the one that is then under way a call ends
/// before the silence after which a checkpoint is aborted.
const AGAIN_MAX: Duration = Duration::from_secs(10);

/// How often a request is sent again: some seconds where each is refused at once.
const TRIES_MAX: usize = 5;

/// What a connection may stay idle: less than what services close it after.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// A bucket, as seen through one thread.
pub struct S3Service {
    objects: AmazonS3,
    /// Sends nothing twice: for HEAD.
    once: AmazonS3,
    folder: Path,
    thread: Speaking,
}

impl S3Service {
    /// A client with the credentials that `variables` have. Asks nothing yet.
    pub fn start(address: &Address, variables: Variables<'_>) -> io::Result<Self> {
        // Fails when the embedding program has chosen one, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let invalid = |error: Refusal| trouble::cause(&error);
        let client = builder(address, variables)?;
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: TRIES_MAX,
            retry_timeout: AGAIN_MAX,
        };
        let never = RetryConfig { max_retries: 0, ..retry.clone() };
        Ok(Self {
            objects: client.clone().with_retry(retry).build().map_err(invalid)?,
            once: client.with_retry(never).build().map_err(invalid)?,
            folder: Path::parse(&address.prefix).expect("an address has a sound prefix"),
            thread: Speaking::start()?,
        })
    }

    /// Stores an object.
    pub fn put(&self, name: &str, payload: PutPayload, mode: PutMode) -> Answered<()> {
        self.put_by(self.objects.clone(), name, payload, mode)
    }

    /// As [`put`](Self::put), with one request at most.
    pub fn put_once(&self, name: &str, payload: PutPayload, mode: PutMode) -> Answered<()> {
        self.put_by(self.once.clone(), name, payload, mode)
    }

    fn put_by(
        &self,
        client: AmazonS3,
        name: &str,
        payload: PutPayload,
        mode: PutMode,
    ) -> Answered<()> {
        let path = self.path(name);
        let put = async move { client.put_opts(&path, payload, mode.into()).await };
        self.call(put).map(|_| ())
    }

    /// The bytes of an object and its entity tag; `None` when it is not there. No bytes when there
    /// are more than `bytes_max`.
    pub fn whole(&self, name: &str, bytes_max: u64) -> Answered<Option<(Bytes, Option<String>)>> {
        let (client, path) = (self.objects.clone(), self.path(name));
        there(self.call(async move {
            let found = client.get(&path).await?;
            let tag = found.meta.e_tag.clone();
            let fits = found.meta.size <= bytes_max;
            let bytes = if fits { found.bytes().await? } else { Bytes::new() };
            Ok((bytes, tag))
        }))
    }

    /// Some bytes of an object.
    pub fn range(&self, name: &str, range: Range<u64>) -> Answered<Bytes> {
        let (client, path) = (self.objects.clone(), self.path(name));
        self.call(async move { client.get_range(&path, range).await })
    }

    /// The length of an object; `None` when it is not there.
    pub fn length(&self, name: &str) -> Answered<Option<u64>> {
        let (client, path) = (self.objects.clone(), self.path(name));
        there(self.call(async move { client.head(&path).await.map(|found| found.size) }))
    }

    /// Names and lengths of all objects, not those in folders below.
    pub fn list(&self) -> Answered<Vec<(String, u64)>> {
        let client = self.objects.clone();
        let folder = Some(self.folder.clone()).filter(|folder| !folder.as_ref().is_empty());
        let list = async move { client.list_with_delimiter(folder.as_ref()).await };
        let named = |found: &object_store::ObjectMeta| {
            Some((found.location.filename()?.to_owned(), found.size))
        };
        Ok(self.call(list)?.objects.iter().filter_map(named).collect())
    }

    /// Deletes an object; one that is not there is gone already.
    pub fn delete(&self, name: &str) -> Answered<()> {
        let (client, path) = (self.objects.clone(), self.path(name));
        there(self.call(async move { client.delete(&path).await })).map(|_| ())
    }

    /// Begins an object that comes in pieces.
    pub fn begin(&self, name: &str) -> Answered<Box<dyn MultipartUpload>> {
        let (client, path) = (self.objects.clone(), self.path(name));
        self.call(async move { client.put_multipart(&path).await })
    }

    /// Adds a piece to an object.
    pub fn add(&self, upload: &mut dyn MultipartUpload, piece: Vec<u8>) -> Answered<()> {
        self.call(upload.put_part(piece.into()))
    }

    /// Makes an object of its pieces, or drops them.
    pub fn complete(&self, mut upload: Box<dyn MultipartUpload>) -> Answered<()> {
        self.call(async move {
            let completed = upload.complete().await;
            if completed.is_err() {
                // Only to free what they take: they are not seen anyhow.
                let _ = upload.abort().await;
            }
            completed.map(|_| ())
        })
    }

    /// Drops pieces. No caller waits for it.
    pub fn abort(&self, mut upload: Box<dyn MultipartUpload>) {
        self.thread.handle.spawn(async move { upload.abort().await });
    }

    /// Does something on the thread, and waits for it.
    fn call<T: Send + 'static>(&self, what: impl Future<Output = T> + Send + 'static) -> T {
        let (sender, answer) = channel();
        self.thread.handle.spawn(async move { sender.send(what.await) });
        answer.recv().expect("the thread answers as long as the service is there")
    }

    fn path(&self, name: &str) -> Path {
        self.folder.clone().join(name)
    }
}

fn there<T>(answered: Answered<T>) -> Answered<Option<T>> {
    match answered {
        // A bucket that is gone is no object that is gone.
        Err(error @ Refusal::NotFound { .. })
            if trouble::cause(&error).kind() == ErrorKind::NotFound =>
        {
            Ok(None)
        }
        answered => answered.map(Some),
    }
}

/// The environment: the value of a variable by its name.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the environment may say, and what it is to the client. Nothing else is taken from there: a
/// variable must not turn off what commits rest on.
const VARIABLES: [(&str, Key); 11] = [
    ("AWS_DEFAULT_REGION", Key::Region),
    ("AWS_REGION", Key::Region),
    ("AWS_ACCESS_KEY_ID", Key::AccessKeyId),
    ("AWS_SECRET_ACCESS_KEY", Key::SecretAccessKey),
    ("AWS_SESSION_TOKEN", Key::Token),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", Key::WebIdentityTokenFile),
    ("AWS_ROLE_ARN", Key::RoleArn),
    ("AWS_ROLE_SESSION_NAME", Key::RoleSessionName),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", Key::ContainerCredentialsRelativeUri),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", Key::ContainerCredentialsFullUri),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Key::ContainerAuthorizationTokenFile),
];

/// Any of them is a source of credentials: all of its variables have to be there.
const CREDENTIALS: [&[&str]; 4] = [
    &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
    &["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"],
    &["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"],
    &["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"],
];

fn builder(address: &Address, variables: Variables<'_>) -> io::Result<AmazonS3Builder> {
    let variable = |name: &str| variables(name).filter(|value| !value.is_empty());
    let is_there = |names: &&[&str]| names.iter().all(|name| variable(name).is_some());
    if !CREDENTIALS.iter().any(is_there) {
        let text = "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in \
                    the environment (AWS_SESSION_TOKEN for those that end)";
        return Err(io::Error::new(ErrorKind::PermissionDenied, text));
    }
    let options = ClientOptions::new()
        .with_allow_http(address.is_plain())
        .with_connect_timeout(CONNECT_MAX)
        .with_timeout(REQUEST_MAX)
        .with_pool_idle_timeout(IDLE_MAX);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&address.bucket)
        .with_client_options(options)
        // One by one works everywhere, and there are few.
        .with_disable_bulk_delete(true);
    for (name, key) in VARIABLES {
        if let Some(value) = variable(name) {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = &address.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    Ok(match &address.region {
        Some(region) => builder.with_region(region),
        None => builder,
    })
}

/// Threads that look names up.
const LOOKUPS_MAX: usize = 4;

/// How long they stay.
const FOR_EVER: Duration = Duration::from_hours(24 * 365);

/// The thread with the runtime. Ends when it is dropped.
struct Speaking {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Speaking {
    fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(LOOKUPS_MAX)
            .thread_keep_alive(FOR_EVER)
            .build()?;
        let handle = runtime.handle().clone();
        // Without a single thread for names the runtime panics; with one it waits for that one.
        Builder::new().spawn(|| ())?.join().ok();
        drop(handle.spawn_blocking(|| ()));
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            // Dropping the other end stops it.
            let _ = runtime.block_on(stopped);
            // What it looks up in the name service may take long, and nothing waits for it.
            runtime.shutdown_background();
        };
        let thread = Builder::new().name("potoroo-s3".into()).spawn(run)?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panics only by a bug, which the panic has reported.
            let _ = thread.join();
        }
    }
}
