//! The sockets of a server: those that a service manager has passed, and those that are bound by
//! options.
//!
//! The name of a passed socket selects the address that it takes the place of ([`SocketRole`]).
//! Each kind of address comes from one source: either passed sockets or an option, so that no
//! address of a command line is silently without effect.

use super::auxiliary::bind_admin;
use super::endpoint::ListenAddress;
use super::feature::Feature;
use super::hints;
use super::settings::StartSettings;
use crate::error::Failure;
use crate::os::inherited::InheritedDescriptors;
use crate::os::net::{Access, Listener, bind_with};
use crate::os::process;
use crate::os::service_manager::{PassedSocket, passed_sockets};
use std::ffi::OsString;

/// The address that a passed socket takes the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SocketRole {
    /// `--listen ADDR`.
    Public,
    /// `--listen ADDR,proxy`.
    Proxy,
    /// `--health-listen`.
    Health,
    /// `--admin`.
    Admin,
}

impl SocketRole {
    /// The role of a socket with this name: `FileDescriptorName=` of a socket unit, which is the
    /// name of the unit if it isn't set. A manager that names nothing passes public addresses.
    ///
    /// ```
    /// # use uringstatic::start::SocketRole;
    /// assert_eq!(SocketRole::of_name("http-2"), Some(SocketRole::Public));
    /// assert_eq!(SocketRole::of_name("web.socket"), Some(SocketRole::Public));
    /// assert_eq!(SocketRole::of_name("health"), Some(SocketRole::Health));
    /// assert_eq!(SocketRole::of_name("heath"), None);
    /// ```
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "health" => Some(Self::Health),
            "admin" => Some(Self::Admin),
            "proxy" => Some(Self::Proxy),
            "" | "unknown" | "http" => Some(Self::Public),
            name if name.starts_with("proxy-") => Some(Self::Proxy),
            name if name.starts_with("http-") || name.ends_with(".socket") => Some(Self::Public),
            _ => None,
        }
    }

    /// The name that selects it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "http",
            Self::Proxy => "proxy",
            Self::Health => "health",
            Self::Admin => "admin",
        }
    }

    /// The option for the same address.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Public | Self::Proxy => "--listen",
            Self::Health => "--health-listen",
            Self::Admin => "--admin",
        }
    }
}

/// The sockets of a server.
pub struct OpenSockets {
    /// The settings, with the addresses of passed sockets.
    pub settings: StartSettings,
    /// The listeners in the order of the addresses; that for health checks is the last.
    pub listeners: Vec<Listener>,
    /// The listener of the admin process.
    pub admin: Option<Listener>,
    /// The options for the addresses of passed sockets, by which a process with the same command
    /// line comes to the same settings.
    pub words: Vec<OsString>,
}

/// Raises the limit of open files, takes the sockets that a service manager has passed out of the
/// inherited descriptors, and binds the others: both may need a privilege.
///
/// # Errors
/// If a limit is too low, an address can't be bound, or a passed socket can't be used.
pub fn open_sockets(
    settings: &StartSettings,
    inherited: &mut InheritedDescriptors,
) -> Result<OpenSockets, Failure> {
    let passed = passed_sockets(inherited).map_err(hints::of_passed_sockets)?;
    let passed: Vec<_> = passed.into_iter().map(adopt).collect::<Result<_, _>>()?;
    let (settings, passed) = with_passed(settings, passed)?;
    let words = passed.iter().flat_map(|(role, listener)| words_of(*role, listener)).collect();
    process::raise_open_files(
        u64::from(settings.slots()) + process::OPEN_FILES_RESERVE,
        "--spawn",
    )?;
    let (admin, passed): (Vec<_>, Vec<_>) =
        passed.into_iter().partition(|(role, _)| *role == SocketRole::Admin);
    let listeners = bind_others(&settings, passed.into_iter().map(|(_, it)| it).collect())?;
    let admin = match admin.into_iter().next() {
        Some((_, listener)) => Some(listener),
        None => bind_admin(&settings)?,
    };
    Ok(OpenSockets { settings, listeners, admin, words })
}

fn adopt(socket: PassedSocket) -> Result<(SocketRole, Listener), Failure> {
    let PassedSocket { fd, name } = socket;
    let role = SocketRole::of_name(&name).ok_or_else(|| hints::of_socket_name(&name))?;
    let listener = Listener::passed(fd).map_err(|error| hints::of_passed_socket(&name, &error))?;
    Ok((role, listener))
}

/// The option that has the address of a passed socket.
fn words_of(role: SocketRole, listener: &Listener) -> [OsString; 2] {
    let mut word = listener.endpoint.to_word();
    if role == SocketRole::Proxy {
        word.push(",proxy");
    }
    [role.option().into(), word]
}

/// The settings whose addresses are those of the passed sockets, and these sockets in the order of
/// the addresses.
///
/// # Errors
/// If there is a passed socket and an option for the same kind of address, or several sockets for
/// an address of which there is one.
fn with_passed(
    settings: &StartSettings,
    mut passed: Vec<(SocketRole, Listener)>,
) -> Result<(StartSettings, Vec<(SocketRole, Listener)>), Failure> {
    // Sorting is stable: sockets of one role stay in their order.
    passed.sort_by_key(|(role, _)| *role);
    let mut settings = settings.clone();
    let of_option = settings.listen.clone();
    for (place, (role, listener)) in passed.iter().enumerate() {
        let endpoint = listener.endpoint.clone();
        let is_first = place == 0 || passed[place - 1].0.option() != role.option();
        let is_free = match role {
            SocketRole::Public | SocketRole::Proxy => {
                if is_first {
                    settings.listen.clear();
                }
                let is_for_proxies = *role == SocketRole::Proxy;
                settings.listen.push(ListenAddress { is_for_proxies, ..endpoint.into() });
                of_option == StartSettings::default().listen
            }
            SocketRole::Health => settings.health_listen.replace(endpoint.into()).is_none(),
            SocketRole::Admin => settings.admin.admin.replace(endpoint).is_none(),
        };
        match (is_free, is_first) {
            (true, _) => {}
            (false, true) => return Err(hints::of_two_sources(role.option(), role.name())),
            (false, false) => return Err(hints::of_several_sockets(role.name())),
        }
    }
    let settings = settings.checked().map_err(hints::of_passed_sockets)?;
    Ok((settings, passed))
}

/// Binds the addresses that no passed socket stands for.
fn bind_others(settings: &StartSettings, passed: Vec<Listener>) -> Result<Vec<Listener>, Failure> {
    let group = settings.socket.socket_group.as_deref();
    let access = Access::look_up(settings.socket.socket_mode, group)
        .map_err(|error| hints::of_name("--socket-group", &error.name, &error))?;
    let defer_accept = !settings.without.contains(&Feature::DeferAccept);
    let mut passed = passed.into_iter().peekable();
    let open = |ListenAddress { endpoint, .. }: &ListenAddress| match passed
        .next_if(|listener| listener.endpoint == *endpoint)
    {
        Some(listener) => Ok(listener),
        None => bind_with(endpoint, settings.backlog, defer_accept, access),
    };
    settings.addresses().map(open).collect::<Result<_, _>>().map_err(hints::of_listener)
}

/// Starts to listen on bound sockets. A passed socket listens already, and gets the length of the
/// queue that `--backlog` asks for.
///
/// # Errors
/// If another process has taken a port meanwhile.
pub fn start_listening(settings: &StartSettings, listeners: &[Listener]) -> Result<(), Failure> {
    let start = |listener: &Listener| listener.start(settings.backlog);
    listeners.iter().try_for_each(start).map_err(hints::of_listener)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::net::Endpoint;
    use std::net::TcpListener;

    fn passed(names: &[&str]) -> Vec<(SocketRole, Listener)> {
        let socket = |name: &&str| {
            let fd = TcpListener::bind("127.0.0.1:0").expect("a port is free").into();
            adopt(PassedSocket { fd, name: (*name).to_owned() }).expect("the name is known")
        };
        names.iter().map(socket).collect()
    }

    fn with(listen: &str, health: bool) -> StartSettings {
        let endpoint = |text: &str| -> ListenAddress {
            Endpoint::Tcp(text.parse().expect("it is an address")).into()
        };
        StartSettings {
            listen: vec![endpoint(listen)],
            health_listen: health.then(|| endpoint("127.0.0.1:0")),
            ..StartSettings::default()
        }
    }

    /// The listeners that are served from, as the service opens them.
    fn open(settings: &StartSettings, passed: Vec<(SocketRole, Listener)>) -> Vec<Listener> {
        bind_others(settings, passed.into_iter().map(|(_, listener)| listener).collect()).unwrap()
    }

    #[test]
    fn passed_sockets_replace_the_default_address_in_their_order() {
        let sockets = passed(&["health", "http-b", "proxy", "unknown", "http-a"]);
        let addresses: Vec<_> = sockets.iter().map(|(_, it)| it.endpoint.clone()).collect();
        let (settings, sockets) = with_passed(&StartSettings::default(), sockets).unwrap();
        let order = [1, 3, 4, 2, 0].map(|place| addresses[place].clone());
        let of_settings: Vec<_> = settings.addresses().map(|it| it.endpoint.clone()).collect();
        assert_eq!(of_settings, order);
        let for_proxies: Vec<_> = settings.listen.iter().map(|it| it.is_for_proxies).collect();
        assert_eq!(for_proxies, [false, false, false, true]);
        let listeners = open(&settings, sockets);
        let of_listeners: Vec<_> = listeners.iter().map(|it| it.endpoint.clone()).collect();
        assert_eq!(of_listeners, order);
        assert!(listeners.iter().all(Listener::is_passed));
    }

    #[test]
    fn admin_socket_is_no_listener_of_the_workers() {
        let sockets = passed(&["admin", "http"]);
        let admin = sockets[0].1.endpoint.clone();
        let (settings, sockets) = with_passed(&StartSettings::default(), sockets).unwrap();
        assert_eq!(settings.admin.admin, Some(admin));
        assert_eq!(
            sockets.iter().map(|(role, _)| *role).collect::<Vec<_>>(),
            [SocketRole::Public, SocketRole::Admin]
        );
    }

    #[test]
    fn words_of_passed_sockets_lead_to_the_same_settings() {
        use clap::{Args, FromArgMatches};
        let sockets = passed(&["health", "proxy-a", "http", "admin"]);
        let (settings, sockets) = with_passed(&StartSettings::default(), sockets).unwrap();
        let words: Vec<_> = sockets.iter().flat_map(|(role, it)| words_of(*role, it)).collect();
        let command = StartSettings::augment_args(clap::Command::new("uringstatic"));
        let matches = command.no_binary_name(true).get_matches_from(words);
        assert_eq!(StartSettings::from_arg_matches(&matches).unwrap(), settings);
    }

    #[test]
    fn each_kind_of_address_has_one_source() {
        let two = [
            (with("127.0.0.1:0", false), &["http"][..], "--listen"),
            (with("127.0.0.1:0", true), &["health"], "--health-listen"),
            (with("127.0.0.1:0", false), &["health", "health"], "two sockets"),
        ];
        for (settings, names, text) in two {
            let failure = with_passed(&settings, passed(names)).err().expect("it is refused");
            assert!(failure.to_string().contains(text), "{failure}");
        }
        let (settings, sockets) =
            with_passed(&with("127.0.0.1:0", false), passed(&["health"])).unwrap();
        let listeners = open(&settings, sockets);
        let is_passed: Vec<_> = listeners.iter().map(Listener::is_passed).collect();
        assert_eq!(is_passed, [false, true]);
    }

    #[test]
    fn name_that_selects_no_address_is_refused_with_those_that_do() {
        let fd = TcpListener::bind("127.0.0.1:0").expect("a port is free").into();
        let failure = adopt(PassedSocket { fd, name: "heath".to_owned() }).err().unwrap();
        assert!(failure.to_string().contains("heath"), "{failure}");
        assert!(failure.to_string().contains("http-NAME"), "{failure}");
    }
}
