### Words of the pages. Every key has its twin in zh-Hant.ftl.

## Everywhere
skip-to-content = Skip to content
sign-out = Sign out

## Faults
fault-title = That did not work
fault-not-found = There is nothing here. The address may be mistyped, or what was here is gone.
fault-method = This address cannot be used that way.
fault-forbidden = You are signed in, but this is not yours to do.
fault-unauthorized = Please sign in first.
fault-forged = This form was open too long or came from somewhere else. Go back, load the page again and try once more.
fault-bad = Something in the request is not right.
fault-refused = This link does not open anything. It may have been revoked, have lapsed, or be incomplete. Ask whoever sent it to you for a new one.
fault-too-large = That is more than this page can take.
fault-too-many = That was a bit much. Please wait a moment and try again.
fault-unavailable = Something is busy or restarting. Please try again in a moment.
fault-internal = Something went wrong on our side. It has been noted; please try again.

## Tunnels
tunnels-no-home-title = No home here
tunnels-no-home = There is no home under this name. The address may be mistyped.
tunnels-away-title = This home is away
tunnels-away = The home is not connected right now. This page looks again by itself every few seconds.
tunnels-busy = Something is busy or restarting. This page looks again by itself every few seconds.
tunnels-origin-down = The home is connected, but Home Assistant does not answer there. It may be restarting; this page looks again by itself.
tunnels-broke = The connection to the home broke while it was answering. This page tries again by itself.
tunnels-bad-request = Your browser or a proxy in between sent a request that cannot be passed on safely.
## OAuth
oauth-consent-title = Allow access
oauth-consent-heading = Do you want to let this program in?
oauth-it-may = It will be able to
oauth-scope-workspace-read = see the name of your workspace
oauth-scope-smarthome-read = see your homes and whether they are connected
oauth-scope-smarthome-tunnel = connect the home to the internet, with the secret of its tunnel
oauth-scope-relay = pass on what you share from the home, and switch what you allow
oauth-scope-shares-manage = make links to things in your homes, and revoke them
oauth-scope-tunnels-manage = manage the tunnels of all homes
oauth-choose-something = Choose at least one thing to allow, or deny the request.
oauth-which-home = Which home is this?
oauth-home-taken = has an agent already; the new one takes its place
oauth-new-home = A new home
oauth-new-home-name = Name of the new home
oauth-new-home-default = Home
oauth-choose-home = Choose a home first.
oauth-name-home = A home's name has 1 to 60 characters.
oauth-leads-to = Afterwards you are taken to
oauth-allow = Allow
oauth-deny = Deny
oauth-signed-in-as = You are signed in as
oauth-not-you = Not you?
oauth-not-yours = Not yours to allow
oauth-needs-manager = Only an owner or an admin of the workspace can connect an agent to a home. Ask one of them to do it, or sign in with another account.
oauth-cannot-ask = This request cannot be answered
oauth-unknown-client = The program that sent you here is not known to this site. Nothing was shared with it.
oauth-wrong-address = The program that sent you here asked for the answer at an address that is not registered for it. Nothing was shared with it.
oauth-repeated = The request names a program or an address twice. Nothing was shared with anyone.
oauth-device-title = Connect a device
oauth-device-intro = Type the code that the device or program shows you.
oauth-device-code = Code
oauth-device-continue = Continue
oauth-device-from = Asked from
oauth-device-near = your network
oauth-device-far = a different network than yours
oauth-device-when = Asked
oauth-minutes-ago = { $minutes ->
    [0] less than a minute ago
    [one] one minute ago
   *[other] { $minutes } minutes ago
}
oauth-device-warning = Continue only if you started this yourself and the device in front of you shows this very code. If somebody sent you the code, deny the request.
oauth-code-unknown = No device is waiting with this code. Check the code; it may also have lapsed, or been answered already.
oauth-code-decided = Somebody has answered this request already.
oauth-device-done = The device is let in
oauth-device-done-text = You can close this page and go back to the device. It goes on by itself in a few seconds.
oauth-device-denied = The device is not let in
oauth-device-denied-text = You can close this page. If you did not start this yourself, somebody may have tried to get in; nothing was shared with them.
