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
