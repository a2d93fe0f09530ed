//! The server's process.

use std::{
    collections::HashSet,
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use super::{
    Client, Request, basic,
    document::Document,
    secrets::{Witnessed, files_below},
};

/// How long what is waited for may take before the test fails.
const TIMEOUT: Duration = Duration::from_mins(2);
/// How long a server may take to end in order when its test is over; some tests leave requests that never end.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The password of the administrator `admin`.
pub const ADMIN_PASSWORD: &str = "the keys to the house";

/// The password of a user that [`Server::user`] makes.
pub fn password_of(username: &str) -> String {
    format!("{username} lives here")
}

/// Waits until that is so, for a minute at most.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came to this: {what}");
        pause();
    }
}

/// Leaves the processor to what is waited for, before the condition is looked at again.
pub fn pause() {
    thread::sleep(Duration::from_millis(2));
}

/// A random number below that one.
pub fn random_below(bound: usize) -> usize {
    let number = RandomState::new().hash_one(0);
    usize::try_from(number % bound as u64).unwrap()
}

/// How a server is started.
pub struct ServerBuilder {
    directory: TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// A running server in a temporary directory. It is killed when this is dropped.
pub struct Server {
    builder: ServerBuilder,
    child: Child,
    pub address: SocketAddr,
    document: Arc<Document>,
    known: Mutex<HashSet<String>>,
    witnessed: Witnessed,
}

impl ServerBuilder {
    pub fn new() -> Self {
        let environment =
            [("LODGE_ADMIN_PASSWORD", ADMIN_PASSWORD), ("LODGE_SCRYPT_COST", "10"), ("LODGE_BALLAST", "0B")];
        Self {
            directory: TempDir::new().unwrap(),
            arguments: Vec::new(),
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        }
    }

    /// With this flag and value.
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// With this environment variable; it replaces an earlier one of that name.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(given, _)| given != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without this environment variable.
    pub fn without_variable(mut self, name: &str) -> Self {
        self.environment.retain(|(given, _)| given != name);
        self
    }

    /// Where the server keeps everything.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A command that runs `lodge` on the server's directory, with a clean environment.
    pub fn command(&self, verb: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lodge"));
        command.args(verb).env_clear().env("LODGE_DATA_DIR", self.data_dir()).env("LODGE_LISTEN", "127.0.0.1:0");
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).current_dir(self.directory.path());
        command
    }

    /// A server that is not asked for its document, because it does not speak plain HTTP or shall not be spoken to yet;
    /// replies are not checked against the document.
    pub fn start_unasked(self) -> Server {
        let (child, address) = self.spawn();
        self.of(child, address, Arc::new(Document::new(json!({}))))
    }

    pub fn start(self) -> Server {
        let (child, address) = self.spawn();
        self.of(child, address, fetch_document(address))
    }

    fn of(self, child: Child, address: SocketAddr, document: Arc<Document>) -> Server {
        let witnessed = Witnessed::default();
        witnessed.listens_on(address);
        let initial_password = fs::read_to_string(self.data_dir().join("initial-admin-password"));
        witnessed.add(initial_password.as_deref().unwrap_or(ADMIN_PASSWORD).trim());
        Server { builder: self, child, address, document, known: Mutex::default(), witnessed }
    }

    fn spawn(&self) -> (Child, SocketAddr) {
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = self.command(&["serve"]);
        let mut child = command.args(&self.arguments).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.map_while(Result::ok).find_map(|line| {
            // Inside an object if the log is JSON.
            let (_, address) = line.split_once("lodge is listening on ")?.1.split_once("//")?;
            address.trim_end_matches("\"}").parse().ok()
        });
        let Some(address) = address else {
            let status = child.wait().unwrap();
            panic!("the server did not start ({status}): {}", fs::read_to_string(self.log_path()).unwrap())
        };
        (child, address)
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

impl Server {
    /// A server with an administrator and no other user.
    pub fn start() -> Self {
        ServerBuilder::new().start()
    }

    /// Where the server keeps everything.
    pub fn data_dir(&self) -> PathBuf {
        self.builder.data_dir()
    }

    /// A directory beside the server's.
    pub fn directory(&self) -> &Path {
        self.builder.directory.path()
    }

    /// A command that runs `lodge` on the server's directory, with a clean environment.
    pub fn command(&self, verb: &[&str]) -> Command {
        self.builder.command(verb)
    }

    /// Everything that the server has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.builder.log_path()).unwrap()
    }

    /// What a running server has logged up to now: its lines come a moment later, but in their order.
    pub fn whole_log(&self) -> String {
        let reply = self.anonymous().try_send(&Request::whole("GET", "/healthz")).unwrap();
        self.wait_for_log(reply.header("x-request-id").unwrap());
        self.log()
    }

    /// Waits until the log holds that text.
    pub fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + TIMEOUT;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "the log never contains {text:?}: {}", self.log());
            pause();
        }
    }

    /// Everything in the data directory, itself included.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.data_dir()];
        let mut next = 0;
        while let Some(path) = files.get(next).cloned() {
            if path.is_dir() {
                files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            }
            next += 1;
        }
        files
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A line of the kernel's status of the server that is a number of KiB, as `VmRSS`.
    pub fn memory_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Sends a signal to the server.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Stops the server without ending it, and waits until none of its threads runs: they go on until one of them has taken the
    /// signal.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let is_stopped = |task: fs::DirEntry| {
            fs::read_to_string(task.path().join("status")).is_ok_and(|status| status.contains("State:\tT"))
        };
        let tasks = format!("/proc/{}/task", self.pid());
        wait_until("all threads are stopped", || fs::read_dir(&tasks).unwrap().all(|task| is_stopped(task.unwrap())));
    }

    /// Waits for the server's end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Kills the server, without giving it time to do anything.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.wait();
    }

    /// Stops the server, and waits until it has ended.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Starts the server again, after it has ended; its address is another one.
    pub fn start_again(&mut self) {
        (self.child, self.address) = self.builder.spawn();
        self.witnessed.listens_on(self.address);
    }

    /// Gives the server another environment variable when it is started next.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.builder.environment.retain(|(given, _)| given != name);
        self.builder.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Stops the server and starts it again.
    pub fn restart(&mut self) {
        assert!(self.stop().success());
        self.start_again();
    }

    /// A client without a credential.
    pub fn anonymous(&self) -> Client {
        Client::new(self.address, None, Arc::clone(&self.document))
    }

    /// Where the server's local socket is.
    pub fn socket(&self) -> PathBuf {
        self.data_dir().join("lodge.sock")
    }

    /// The operator, on the local socket.
    pub fn local(&self) -> Client {
        self.anonymous().on_socket(self.socket())
    }

    /// A client with this `Authorization` header.
    pub fn with(&self, authorization: &str) -> Client {
        self.anonymous().with(authorization)
    }

    /// The administrator `admin`, by password.
    pub fn admin(&self) -> Client {
        self.with(&basic("admin", ADMIN_PASSWORD))
    }

    /// The standard user of that name, by password; made if this server has not made it yet.
    pub fn user(&self, username: &str) -> Client {
        if self.known.lock().unwrap().insert(username.to_owned()) {
            let body = json!({"username": username, "password": password_of(username)});
            self.admin().post("/users", &body).expect(201);
        }
        self.with(&basic(username, &password_of(username)))
    }

    /// The id of that user, who is made if this server has not made it yet.
    pub fn id_of(&self, username: &str) -> u64 {
        let client = if username == "admin" { self.admin() } else { self.user(username) };
        client.get("/users/me").expect(200).id()
    }

    /// That user (`admin` or a standard one) by a session of their own.
    pub fn session(&self, username: &str) -> Client {
        self.with(&self.sign_in(username))
    }

    /// The `Authorization` header of a new session of that user.
    pub fn sign_in(&self, username: &str) -> String {
        if username != "admin" {
            self.user(username);
        }
        let password = if username == "admin" { ADMIN_PASSWORD.to_owned() } else { password_of(username) };
        let body = json!({"user": {"username": username, "password": password}});
        let reply = self.anonymous().post("/users/sign_in", &body).expect(201);
        reply.header("authorization").unwrap().to_owned()
    }

    /// That user (`admin` or a standard one) by an API key with these scopes, each as `controller / action`.
    pub fn key(&self, username: &str, scopes: &[&str]) -> Client {
        let scopes: Vec<_> = scopes.iter().map(|scope| scope.split_once(" / ").unwrap()).collect();
        let scopes: Vec<_> =
            scopes.iter().map(|(controller, action)| json!({"controller": controller, "action": action})).collect();
        let owner = if username == "admin" { self.admin() } else { self.user(username) };
        let reply = owner.post("/users/me/api_keys", &json!({"api_key_scopes": scopes})).expect(201);
        self.with(reply.json()["key"].as_str().unwrap())
    }
}

impl Server {
    /// Ends the server in order, so that its logs are complete; kills it if that takes long.
    fn end_in_order(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let (ended, ends) = channel::<()>();
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        let killer = thread::spawn(move || {
            if ends.recv_timeout(DISCONNECT_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        self.signal(Signal::TERM);
        self.wait();
        drop(ended);
        killer.join().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.end_in_order();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !thread::panicking() {
            let audit = files_below(&self.data_dir().join("audit"));
            self.witnessed.assert_not_in(&[vec![self.builder.log_path()], audit].concat());
        }
    }
}

fn fetch_document(address: SocketAddr) -> Arc<Document> {
    let nothing = Arc::new(Document::new(json!({})));
    let reply = Client::new(address, None, nothing).try_send(&Request::whole("GET", "/openapi.json")).unwrap();
    Arc::new(Document::new(reply.json()))
}
