//! The sockets of a server: those that a service manager has passed, and those that are bound by
//! options.
//!
//! The name of a passed socket selects the address that it takes the place of ([`SocketRole`]).
//! Each kind of address comes from one source: either passed sockets or an option, so that no
//! address of a command line is silently without effect.

use super::feature::Feature;
use super::hints;
use super::settings::StartSettings;
use crate::error::Failure;
use crate::os::inherited::InheritedDescriptors;
use crate::os::net::{Access, Endpoint, Listener, bind_with};
use crate::os::process;
use crate::os::service_manager::{PassedSocket, passed_sockets};
use std::ffi::OsString;

/// The address that a passed socket takes the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SocketRole {
    /// `--listen`.
    Public,
    /// `--health-listen`.
    Health,
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
            "" | "unknown" | "http" => Some(Self::Public),
            name if name.starts_with("http-") || name.ends_with(".socket") => Some(Self::Public),
            _ => None,
        }
    }

    /// The name that selects it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "http",
            Self::Health => "health",
        }
    }

    /// The option for the same address.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Public => "--listen",
            Self::Health => "--health-listen",
        }
    }
}

/// The sockets of a server.
pub struct OpenSockets {
    /// The settings, with the addresses of passed sockets.
    pub settings: StartSettings,
    /// The listeners in the order of the addresses; that for health checks is the last.
    pub listeners: Vec<Listener>,
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
    let words = passed.iter().flat_map(|(role, listener)| words_of(*role, listener)).collect();
    let (settings, passed) = with_passed(settings, passed)?;
    process::raise_open_files(
        u64::from(settings.slots()) + process::OPEN_FILES_RESERVE,
        "--spawn",
    )?;
    let listeners = bind_others(&settings, passed)?;
    Ok(OpenSockets { settings, listeners, words })
}

fn adopt(socket: PassedSocket) -> Result<(SocketRole, Listener), Failure> {
    let PassedSocket { fd, name } = socket;
    let role = SocketRole::of_name(&name).ok_or_else(|| hints::of_socket_name(&name))?;
    let listener = Listener::passed(fd).map_err(|error| hints::of_passed_socket(&name, &error))?;
    Ok((role, listener))
}

/// The option that has the address of a passed socket.
fn words_of(role: SocketRole, listener: &Listener) -> [OsString; 2] {
    [role.option().into(), listener.endpoint.to_word()]
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
) -> Result<(StartSettings, Vec<Listener>), Failure> {
    // Sorting is stable: sockets of one role stay in their order.
    passed.sort_by_key(|(role, _)| *role);
    let of = |wanted: SocketRole| -> Vec<Endpoint> {
        let sockets = passed.iter().filter(|(role, _)| *role == wanted);
        sockets.map(|(_, listener)| listener.endpoint.clone()).collect()
    };
    let (public, health) = (of(SocketRole::Public), of(SocketRole::Health));
    let mut settings = settings.clone();
    if !public.is_empty() {
        if settings.listen != StartSettings::default().listen {
            return Err(hints::of_two_sources(SocketRole::Public));
        }
        settings.listen = public;
    }
    match &health[..] {
        [] => {}
        [address] if settings.health_listen.is_none() => {
            settings.health_listen = Some(address.clone());
        }
        [_] => return Err(hints::of_two_sources(SocketRole::Health)),
        [_, _, ..] => return Err(hints::of_several_sockets(SocketRole::Health)),
    }
    let settings = settings.checked().map_err(hints::of_passed_sockets)?;
    Ok((settings, passed.into_iter().map(|(_, listener)| listener).collect()))
}

/// Binds the addresses that no passed socket stands for.
fn bind_others(settings: &StartSettings, passed: Vec<Listener>) -> Result<Vec<Listener>, Failure> {
    let group = settings.socket.socket_group.as_deref();
    let access = Access::look_up(settings.socket.socket_mode, group)
        .map_err(|error| hints::of_name("--socket-group", &error.name, &error))?;
    let defer_accept = !settings.without.contains(&Feature::DeferAccept);
    let mut passed = passed.into_iter().peekable();
    let addresses = settings.listen.iter().chain(&settings.health_listen);
    let open = |address: &Endpoint| match passed.next_if(|listener| listener.endpoint == *address) {
        Some(listener) => Ok(listener),
        None => bind_with(address, settings.backlog, defer_accept, access),
    };
    addresses.map(open).collect::<Result<_, _>>().map_err(hints::of_listener)
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
    use std::net::TcpListener;

    fn passed(names: &[&str]) -> Vec<(SocketRole, Listener)> {
        let socket = |name: &&str| {
            let fd = TcpListener::bind("127.0.0.1:0").expect("a port is free").into();
            adopt(PassedSocket { fd, name: (*name).to_owned() }).expect("the name is known")
        };
        names.iter().map(socket).collect()
    }

    fn with(listen: &str, health: bool) -> StartSettings {
        let endpoint = |text: &str| Endpoint::Tcp(text.parse().expect("it is an address"));
        StartSettings {
            listen: vec![endpoint(listen)],
            health_listen: health.then(|| endpoint("127.0.0.1:0")),
            ..StartSettings::default()
        }
    }

    #[test]
    fn passed_sockets_replace_the_default_address_in_their_order() {
        let sockets = passed(&["health", "http-b", "unknown", "http-a"]);
        let addresses: Vec<_> = sockets.iter().map(|(_, it)| it.endpoint.clone()).collect();
        let (settings, listeners) = with_passed(&StartSettings::default(), sockets).unwrap();
        assert_eq!(settings.listen, addresses[1..]);
        assert_eq!(settings.health_listen.as_ref(), Some(&addresses[0]));
        let listeners = bind_others(&settings, listeners).unwrap();
        let order: Vec<_> = listeners.iter().map(|it| it.endpoint.clone()).collect();
        assert_eq!(order[..3], addresses[1..]);
        assert_eq!(order[3], addresses[0]);
        assert!(listeners.iter().all(Listener::is_passed));
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
        let listeners = bind_others(&settings, sockets).unwrap();
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
