//! Everything put together: a broker that runs until it is stopped.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;
use warp::Filter as _;

use crate::accounts::{self, Accounts};
use crate::acme::{self, Acme};
use crate::clock::Clock;
use crate::config::{self, Settings};
use crate::dashboard::Dashboard;
use crate::homes::{Homes, Provided};
use crate::http::certificate::{self, Certificate, Files};
use crate::http::serve::{self, Body, Dispatch, Serving};
use crate::http::{Answer, Peer, Routes, Site, assets, empty, otherwise, routes};
use crate::janitor;
use crate::mail::Mail;
use crate::oauth::OAuth;
use crate::portal::{self, Portal};
use crate::relay::{self, Relay};
use crate::sealed;
use crate::store::Store;
use crate::tunnels::direct::Direct;
use crate::tunnels::provider::{self, Provider};
use crate::tunnels::{self, Tunnels};
use crate::vault::Vault;

/// A running broker.
pub struct Broker {
    /// Where it listens.
    pub address: SocketAddr,
    /// How the world knows it.
    pub site: Arc<Site>,
    /// The one-time address for the first account, while there is none (D5).
    pub first_run: Option<String>,
    stop: CancellationToken,
    tasks: TaskTracker,
    store: Store,
}

/// Starts a broker by the machine's clock.
///
/// # Errors
/// When a setting cannot be honoured: the address is taken, a file cannot be read, the database is out of
/// reach. Nothing is left running then.
pub async fn start(settings: Settings) -> anyhow::Result<Broker> {
    start_at(settings, Clock::new()).await
}

/// Starts a broker by a clock that a test can turn.
///
/// # Errors
/// As [`start`].
pub async fn start_at(mut settings: Settings, clock: Clock) -> anyhow::Result<Broker> {
    std::fs::create_dir_all(&settings.data_dir)
        .with_context(|| format!("data_dir: make {}", settings.data_dir.display()))?;
    let vault = Vault::open(&settings.keys_file).context("keys_file")?;
    let open = |files| Certificate::open(files, certificate::needed(&settings), clock.clone());
    let certificate = Files::of(&settings).map(open).transpose()?;
    let listener =
        TcpListener::bind(settings.listen).await.with_context(|| format!("listen: {}", settings.listen))?;
    let address = listener.local_addr()?;
    if settings.public_url.port() == Some(0) {
        // Port 0 asked for any free one: now we know which.
        _ = settings.public_url.set_port(Some(address.port()));
    }
    let stop = CancellationToken::new();
    let store = Store::open(&settings.database, stop.clone()).await.context("database")?;
    sealed::check(&store, &vault).await.context("keys_file")?;
    sealed::note(&store, &vault).await.context("database")?;
    sealed::tell(&store, &vault).await.context("database")?;
    let tasks = TaskTracker::new();
    let site = Arc::new(Site { public_url: settings.public_url.clone() });
    let ground = Ground {
        store: store.clone(),
        clock,
        site: site.clone(),
        vault,
        stop: stop.clone(),
        tasks: tasks.clone(),
    };
    let acme = match settings.acme.clone() {
        Some(given) => Some(ordered(&ground, given, certificate::needed(&settings)).await?),
        None => None,
    };
    let mail = Mail::new(&settings.mail, store.clone(), ground.clock.clone(), ground.vault.clone())?;
    let built = Built::new(&settings, ground, mail.clone())?;
    built.oauth.seed().await.map_err(|fault| anyhow::anyhow!("write the built-in client: {fault}"))?;
    let first_run = built.accounts.first_run_address().await.map_err(|fault| anyhow::anyhow!("{fault}"))?;
    built
        .tunnels
        .remember_hops()
        .await
        .map_err(|fault| anyhow::anyhow!("read how the homes are: {fault}"))?;
    let (watching, until) = (built.tunnels.clone(), stop.clone());
    tasks.spawn(async move { watching.keep_hops(until).await });
    let (ending, until) = (built.tunnels.clone(), stop.clone());
    tasks.spawn(async move { _ = until.run_until_cancelled(ending.keep_resuming()).await });
    let (proving, until) = (built.tunnels.clone(), stop.clone());
    tasks.spawn(async move { _ = until.run_until_cancelled(proving.keep_proving()).await });
    let (provider, until) = (built.tunnels.provider(), stop.clone());
    tasks.spawn(async move { _ = until.run_until_cancelled(provider.run()).await });
    tasks.spawn(mail.run(stop.clone()));
    tasks.spawn(built.accounts.clone().run(stop.clone()));
    tasks.spawn(janitor::run(
        built.accounts.clone(),
        built.oauth.clone(),
        built.tunnels.clone(),
        stop.clone(),
    ));
    tasks.spawn(built.oauth.clone().look_after(stop.clone()));
    let tls = acme.as_ref().map(Acme::acceptors).or(certificate.as_ref().map(Certificate::acceptors));
    if let Some(acme) = acme {
        tasks.spawn(acme.keep(stop.clone()));
    }
    if let Some(certificate) = certificate {
        tasks.spawn(certificate.keep(stop.clone()));
    }
    tasks.spawn(serve::serve(Serving {
        listener,
        tls,
        trusted_proxies: settings.trusted_proxies.into(),
        dispatch: built.front(site.clone(), store.clone(), stop.clone()),
        stop: stop.clone(),
    }));
    info!(%address, public_url = %site.origin(), "broker listens");
    Ok(Broker { address, site, first_run, stop, tasks, store })
}

/// The certificate that is ordered, if any was.
async fn ordered(ground: &Ground, given: config::Acme, needed: Vec<String>) -> anyhow::Result<Acme> {
    let Ground { store, clock, vault, .. } = ground;
    let (store, clock, vault) = (store.clone(), clock.clone(), vault.clone());
    Acme::open(acme::Parts { store, clock, vault, given, needed }).await
}

impl Broker {
    /// Stops: no new connections, open requests finish, sockets are closed, then the database.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.store.close().await;
        info!("broker stopped");
    }
}

/// What everything stands on.
struct Ground {
    store: Store,
    clock: Clock,
    site: Arc<Site>,
    vault: Vault,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The features, each built of those below it.
struct Built {
    accounts: Accounts,
    oauth: OAuth,
    tunnels: Tunnels,
    routes: Vec<Routes>,
}

impl Built {
    fn new(settings: &Settings, ground: Ground, mail: Mail) -> anyhow::Result<Self> {
        let Ground { store, clock, site, vault, stop, tasks } = ground;
        let accounts = Accounts::new(accounts::Parts {
            store: store.clone(),
            clock: clock.clone(),
            site: site.clone(),
            vault: vault.clone(),
            mail: mail.clone(),
            password_memory_kib: settings.password_memory_kib,
            open_registration: settings.open_registration,
        });
        let provided = settings.cloudflare.iter();
        let provided = provided.map(|at| Provided { domain: at.domain.clone(), most: at.homes }).collect();
        let homes = Homes::new(store.clone(), clock.clone(), site.clone(), &settings.home_domain);
        let homes = homes.provided(provided);
        let oauth = OAuth::new(
            store.clone(),
            clock.clone(),
            site.clone(),
            settings.lifetimes,
            accounts.clone(),
            homes.clone(),
        );
        let relay = Relay::new(relay::Parts {
            clock: clock.clone(),
            site: site.clone(),
            oauth: oauth.clone(),
            homes: homes.clone(),
            shares: portal::shares(store.clone(), clock.clone()),
            stop: stop.clone(),
            tasks: tasks.clone(),
        });
        let provider = Provider::new(provider::Parts {
            store: store.clone(),
            clock: clock.clone(),
            vault: vault.clone(),
            homes: homes.clone(),
            oauth: oauth.clone(),
            accounts: settings.cloudflare.clone(),
        })?;
        let tunnels = Tunnels::new(tunnels::Parts {
            store: store.clone(),
            clock: clock.clone(),
            site: site.clone(),
            vault,
            accounts: accounts.clone(),
            homes: homes.clone(),
            oauth: oauth.clone(),
            relay: relay.clone(),
            direct: Direct::new(stop.clone()),
            provider,
            tasks: tasks.clone(),
            mail,
            offline_mail: settings.offline_mail,
        })?;
        let portal = Portal::new(portal::Parts {
            store,
            clock: clock.clone(),
            site: site.clone(),
            relay: relay.clone(),
            stop,
            tasks,
        });
        let dashboard = Dashboard::new(
            site,
            accounts.clone(),
            homes,
            relay.clone(),
            portal.clone(),
            tunnels.clone(),
            clock,
        );
        let routes = vec![
            accounts.routes(),
            oauth.routes(),
            relay.routes(),
            tunnels.routes(),
            portal.routes(),
            dashboard.routes(),
        ];
        Ok(Self { accounts, oauth, tunnels, routes })
    }

    /// All routes as one service; the first that knows a path answers.
    fn front(self, site: Arc<Site>, store: Store, stop: CancellationToken) -> impl Dispatch {
        let rest = [health(site.clone(), store, stop), assets::serve(site.clone()), otherwise(site)];
        let all = self.routes.into_iter().chain(rest).reduce(|all, next| all.or(next).unify().boxed());
        let all = all.expect("there are routes");
        Front { tunnels: self.tunnels, service: TowerToHyperService::new(warp::service(all)) }
    }
}

/// Decides by the host name: a home's goes down its line, everything else to our own routes.
#[derive(Clone)]
struct Front<S> {
    tunnels: Tunnels,
    service: S,
}

impl<S, E> Dispatch for Front<S>
where
    S: hyper::service::Service<Request<Incoming>, Response = Answer, Error = E, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    async fn dispatch(&self, mut request: Request<Incoming>, peer: Peer) -> Response<Body> {
        if self.tunnels.label_for(&request).is_some() {
            match tunnels::asset_path(request.uri().path()).map(str::parse) {
                Some(Ok(path)) => *request.uri_mut() = path,
                _ => return self.tunnels.forward(request, peer).await,
            }
        }
        match self.service.call(request).await {
            Ok(answer) => tunnels::boxed(answer),
            Err(_) => tunnels::boxed(empty(StatusCode::INTERNAL_SERVER_ERROR)),
        }
    }
}

/// `/healthz`: the process answers. `/readyz`: it can do its work, and has not been told to stop.
fn health(site: Arc<Site>, store: Store, stop: CancellationToken) -> Routes {
    routes(site, &["healthz", "readyz"], move |asked| {
        let (store, stop) = (store.clone(), stop.clone());
        async move {
            let ready = asked.path == "/healthz" || (!stop.is_cancelled() && store.answers().await);
            Ok(empty(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }))
        }
    })
}
