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
fault-prove = Please type your password again first.
fault-forged = This form was open too long or came from somewhere else. Go back, load the page again and try once more.
fault-bad = Something in the request is not right.
fault-refused = This link does not open anything. It may have been revoked, have lapsed, or be incomplete. Ask whoever sent it to you for a new one.
fault-too-large = That is more than this page can take.
fault-too-many = That was a bit much. Please wait a moment and try again.
fault-unavailable = Something is busy or restarting. Please try again in a moment.
fault-unreadable = What is stored for this cannot be read any more. Trying again does not help; whoever runs this place can see what it is and mend it.
fault-internal = Something went wrong on our side. It has been noted; please try again.

## Accounts
accounts-sign-in-title = Welcome back
accounts-sign-in-lead = Sign in to look after your homes.
accounts-sign-in = Sign in
accounts-email = Email
accounts-password = Password
accounts-first-run-title = Make this Latchkey yours
accounts-first-run-lead = You are the first one here. The account you create now owns this broker's first workspace.
accounts-name = Your name
accounts-create = Create account
accounts-wrong-password = Email and password do not fit together. Check both and try again.
accounts-wrong-name = Please tell us your name, in at most 80 characters.
accounts-wrong-email = That does not look like an email address.
accounts-new-here = New here?
accounts-forgotten = Forgotten?
accounts-keep = Stay signed in on this device
accounts-by-passkey = Sign in with a passkey
accounts-use-passkey = Use a passkey
accounts-passkey-failed = The passkey did not work. Try again, or sign in another way.
accounts-second-title = One more step
accounts-second-lead = Type the code that your authenticator app shows now.
accounts-second-lead-passkey = Confirm with your passkey that it is you.
accounts-code = Code
accounts-recovery-code = Recovery code
accounts-code-hint = A recovery code works here too.
accounts-wrong-code = This code does not fit, or was used already. Wait for the next one and try again.
accounts-start-again = Start again
accounts-password-rule = At least { $n } characters. Four random words are easy to remember and hard to guess.
accounts-wrong-short = The password needs at least 15 characters.
accounts-wrong-short-second = The password needs at least 8 characters.
accounts-wrong-long = The password is too long: at most 1024 bytes.
accounts-wrong-common = This password is guessed quickly. Take words that have nothing to do with each other or with you.
accounts-forgotten-title = Forgotten your password?
accounts-forgotten-lead = Tell us your email address, and we send you a link to set a new one.
accounts-forgotten-sent = If this address has an account, a letter with a link is on its way. The link works for half an hour. Look into the spam folder too.
accounts-register-title = Create an account
accounts-register-lead = First we make sure that the address is yours: we send you a link.
accounts-register-sent = A letter is on its way. Its link works for a day. Look into the spam folder too.
accounts-register-confirmed = Your address is confirmed. Only a name and a password are missing.
accounts-sent-title = Look into your mail
accounts-send-letter = Send me a link
accounts-to-sign-in = To the sign-in page
accounts-closed-title = By invitation only
accounts-closed = Accounts are made by invitation here. Ask somebody who is in a workspace to invite you.
accounts-dead-link-title = This link does not work any more
accounts-dead-link = It was used already, is too old, or was taken back. Ask for a new one.
accounts-known-title = You have an account already
accounts-other-title = This invitation is for somebody else
accounts-other = It was sent to another address than yours. Sign out, then open the link of the letter again.
accounts-to-homes = To your homes
accounts-known = Sign in first, then open the link of the invitation again.
accounts-reset-title = Set a new password
accounts-reset-lead = You are signed out on every device, and sign in with the new password afterwards.
accounts-reset-done = Your password was changed. Sign in with the new one.
accounts-everywhere-done = You are signed out everywhere.
accounts-invitation-title = You are invited
accounts-invitation-lead = { $by } invites you to the workspace { $workspace }.
accounts-invitation-known = Sign in to join. The invitation was sent to
accounts-join = Join the workspace

## Account
account-title = Your account
account-you = About you
account-save = Save
account-change-password = Change password
account-change-password-lead = Your other devices are signed out.
account-old-password = Present password
account-new-password = New password
account-keep-programs = Keep connected programs and agents
account-keep-programs-hint = Leave this unticked if somebody else may know your password: everything you let in must then be connected anew.
account-wrong-old = The present password is another one.
account-password-done = Your password was changed, and your other devices are signed out.
account-second-done = Your second factors were changed.
account-second-title = Second factor
account-second-lead = With one of these, your password alone lets nobody in.
account-totp = Authenticator app
account-totp-hint = An app on your phone shows a new code every half minute.
account-on = On
account-off = Off
account-turn-off = Turn off
account-set-up = Set up
account-passkeys = Passkeys
account-passkeys-hint = Sign in with your fingerprint, face or a security key, also without the password.
account-remove = Remove
account-codes = Recovery codes
account-codes-hint = For the day your phone is lost. Each works once.
account-codes-none = You have none. Make some, or a lost phone locks you out.
account-codes-new = Make new ones
account-codes-title = Your recovery codes
account-codes-lead = Each of these lets you in once when your phone or passkey is lost. Codes you had before do not work any more.
account-codes-once = Write them down or print them now: they are shown only this once.
account-codes-kept = I have kept them
account-totp-title = Set up an authenticator app
account-totp-lead = Scan this with the app, then type the code it shows.
account-totp-qr = QR code for the authenticator app
account-totp-secret = Or type this key into the app
account-totp-code = Code the app shows
account-totp-on = Turn on
account-passkey-title = Make a passkey
account-passkey-lead = Your device asks for your fingerprint, face or PIN, and remembers the key.
account-passkey-name = What is it called?
account-passkey-example = My phone
account-passkey-default = Passkey
account-passkey-make = Make a passkey
account-passkey-failed = No passkey was made. Try again, perhaps with another device.
account-passkey-missing = This browser knows no passkeys, or does not run scripts.
account-password-too-short = Your password is too short to protect the account alone. Choose one of at least 15 characters first.
account-sessions = Where you are signed in
account-sessions-lead = If you do not know one of these, end it and change your password.
account-this-one = This one
account-browser-unknown = Unknown browser
account-signed-in = signed in
account-seen = last seen
account-end = End
account-everywhere = Sign out everywhere
account-everywhere-ask = Sign out everywhere?
account-everywhere-hint = Ends all sessions, this one too, and disconnects every program and agent you let in.
account-prove-title = Is it still you?
account-prove-lead = This changes who can get in, so please type your password again.
account-prove-on = Continue
account-prove-by-code = Use a code instead
account-wrong-proof = That was not right. Try again.

## Members
members-title = Members
members-lead = These people can see the homes of
members-people = People
members-you = You
members-joined = joined
members-role = Role
members-role-owner = Owner
members-role-owner-hint = Everything, also handing the workspace over.
members-role-admin = Admin
members-role-admin-hint = Adds homes, connects agents, shares devices and invites people.
members-role-member = Member
members-role-member-hint = Sees homes and answers comments.
members-role-observer = Observer
members-role-observer-hint = Sees homes, nothing more.
members-hand-over = Make owner
members-hand-over-ask = Hand the workspace over?
members-hand-over-hint = They become its only owner, and you an admin. Only they can give it back.
members-leave = Leave
members-leave-ask = Leave this workspace?
members-leave-hint = Takes effect at once. Agents and programs you connected here stop working.
members-remove-ask = Remove from the workspace?
members-remove-hint = Takes effect at once. Agents and programs they connected here stop working.
members-invite = Invite somebody
members-invite-lead = They get a letter with a link that works once, for seven days.
members-invite-send = Send the invitation
members-invited = The invitation is on its way.
members-invitations = Open invitations
members-invited-by = from
members-is-member = This person is a member already.
members-too-many = There are a hundred open invitations. Take some back first.

## Workspaces
workspaces-title = Workspaces
workspaces-lead = A workspace holds homes and the people who look after them.
workspaces-here = You are here
workspaces-switch = Go there
workspaces-rename = Rename this workspace
workspaces-make = Make another workspace
workspaces-make-lead = You own it, and nobody else is in it until you invite them.
workspaces-make-do = Make
workspaces-wrong-name = A workspace’s name has 1 to 60 characters.
workspaces-too-many = You are in so many workspaces already that no more fit.
workspaces-homes = { $n ->
    [one] { $n } home
   *[other] { $n } homes
}
workspaces-members = { $n ->
    [one] { $n } person
   *[other] { $n } people
}

## Ways
nav-label = Ways through the site
nav-homes = Homes
nav-programs = Programs
nav-clients = Clients
nav-members = Members
nav-account = Account

## Letters
mail-hello = Hello,
mail-reset-subject = Set a new password
mail-reset = somebody, hopefully you, asked for a new password for your Latchkey account. Open this link to set one:
mail-reset-foot = The link works once, for half an hour. If you did not ask for it, do nothing: your password stays as it is.
mail-register-subject = Confirm your address
mail-register = somebody, hopefully you, wants to create a Latchkey account with this address. Open this link to go on:
mail-register-foot = The link works once, for a day. If this was not you, do nothing: no account is made.
mail-known-subject = You have an account already
mail-known = somebody, hopefully you, wanted to create a Latchkey account with this address. It has one already; sign in here:
mail-known-foot = If you forgot the password, the sign-in page helps. If this was not you, there is nothing to do.
mail-invitation-subject = { $by } invites you to { $workspace }
mail-invitation = { $by } invites you to the workspace { $workspace } on Latchkey. Open this link to join:
mail-invitation-foot = The link works once, for seven days. If you do not know who this is, do nothing.
mail-notice-subject = Your account was changed
mail-notice-foot = If this was not you, set a new password now with “Forgotten?” on the sign-in page, and sign out everywhere. Then look at your account for passkeys that are not yours, and remove them.
mail-changed-password = the password of your Latchkey account was changed.
mail-changed-totp-on = an authenticator app was set up for your Latchkey account.
mail-changed-totp-off = the authenticator app of your Latchkey account was turned off.
mail-changed-codes = new recovery codes were made for your Latchkey account; those from before do not work any more.
mail-changed-passkey-on = a passkey was added to your Latchkey account.
mail-changed-passkey-off = a passkey of your Latchkey account was removed.
mail-offline-subject = { $home } is offline
mail-offline = your home “{ $home }” has been offline since { $since } ({ $span }).
mail-offline-hop = What fails: { $hop }. { $why }
mail-offline-foot = You get one more letter when it is back. These letters can be switched off in the home’s settings.
mail-back-subject = { $home } is back online
mail-back = your home “{ $home }” is back online. It was away for { $span }, from { $since } to { $until }.
mail-back-foot = There is nothing to do. The home’s page tells what had failed.

## Hops
hop-provider = Tunnel service
hop-tunnel = Address on the internet
hop-agent = Agent in the house
hop-home-assistant = Home Assistant
reason-provider-unreachable = The service that makes tunnels does not answer this broker.
reason-tunnel-not-made = The home’s tunnel could not be made yet.
reason-tunnel-not-connected = No tunnel to the house stands, so its address leads nowhere.
reason-tunnel-never-connected = No tunnel to the house has stood yet.
reason-tunnel-degraded = It works, with fewer connections than usual.
reason-agent-gone = Nothing is heard from the agent.
reason-agent-never-paired = No agent has been connected yet.
reason-agent-taken-over = Another machine has taken the place of the one that was connected before.
reason-home-assistant-unasked = Only the agent can ask it, and nothing is heard from that.
reason-home-assistant-starting = Home Assistant has not finished starting.
reason-home-assistant-unreachable = The agent is there, but Home Assistant does not answer it.
reason-home-assistant-refused = Home Assistant refuses the agent’s token.
reason-broker-restarted = The broker has just been restarted; the home is on its way back.
help-provider = There is nothing to do in the house. It is tried again by itself; if it goes on, ask whoever runs this broker.
help-tunnel = If the agent is connected, this passes by itself. If not, see whether the machine has power and network.
help-agent = Does the machine beside Home Assistant have power and network? If it does, restart the agent there.
help-agent-taken-over = If you did not set up another agent for this home, disconnect it under Programs.
help-home-assistant-starting = This takes a few minutes at most. If it goes on, look into Home Assistant’s log.
help-home-assistant-unreachable = See whether Home Assistant runs, and restart it if it hangs.
help-home-assistant-refused = Make a new long-lived access token in Home Assistant and give it to the agent.

## Spans
span-both = { $more } { $less }
span-seconds = { $n ->
    [one] { $n } second
   *[other] { $n } seconds
}
span-minutes = { $n ->
    [one] { $n } minute
   *[other] { $n } minutes
}
span-hours = { $n ->
    [one] { $n } hour
   *[other] { $n } hours
}
span-days = { $n ->
    [one] { $n } day
   *[other] { $n } days
}

## Moments
ago-now = now
ago-years = { $n ->
    [one] { $n } year ago
   *[other] { $n } years ago
}
ahead-years = { $n ->
    [one] in { $n } year
   *[other] in { $n } years
}
ago-months = { $n ->
    [one] { $n } month ago
   *[other] { $n } months ago
}
ahead-months = { $n ->
    [one] in { $n } month
   *[other] in { $n } months
}
ago-weeks = { $n ->
    [one] { $n } week ago
   *[other] { $n } weeks ago
}
ahead-weeks = { $n ->
    [one] in { $n } week
   *[other] in { $n } weeks
}
ago-days = { $n ->
    [one] { $n } day ago
   *[other] { $n } days ago
}
ahead-days = { $n ->
    [one] in { $n } day
   *[other] in { $n } days
}
ago-hours = { $n ->
    [one] { $n } hour ago
   *[other] { $n } hours ago
}
ahead-hours = { $n ->
    [one] in { $n } hour
   *[other] in { $n } hours
}
ago-minutes = { $n ->
    [one] { $n } minute ago
   *[other] { $n } minutes ago
}
ahead-minutes = { $n ->
    [one] in { $n } minute
   *[other] in { $n } minutes
}

## Dashboard
dashboard-homes = Your homes
dashboard-crumbs = Where you are
dashboard-add-home = Add a home
dashboard-add-first = Or write the home down here first, and pair its agent afterwards.
dashboard-empty-title = Let’s bring your first home online
dashboard-empty-lead = Three steps, about five minutes. You can name the home when you confirm the code.
dashboard-empty-member = There is no home in this workspace yet. An owner or admin can add one.
dashboard-step-install = Install the Latchkey agent beside Home Assistant
dashboard-step-install-hint = On the same machine, or another one in the same network that is always on.
dashboard-step-pair = Tell it where to find this broker
dashboard-step-confirm = Confirm the code it shows
dashboard-step-confirm-hint = The agent shows an address and a code. Open the address, compare the code and choose the home it belongs to.
dashboard-guide-title = Connect this home
dashboard-guide-lead = The home is written down. Now its agent needs to find the way here.
dashboard-name = Name
dashboard-name-example = Lake house
dashboard-port = Port of Home Assistant
dashboard-port-hint = 8123, unless you changed it.
dashboard-cancel = Cancel
dashboard-copy = Copy
dashboard-copied = Copied
dashboard-open = Open Home Assistant
dashboard-status = Status
dashboard-connected = Connected
dashboard-disconnected = Not connected
dashboard-not-paired = Waiting for its agent
dashboard-error = Needs attention
dashboard-running = Running
dashboard-starting = Starting
dashboard-unreachable = Does not answer
dashboard-refused = Refuses the agent’s token
dashboard-unknown = Not known
dashboard-answers = Answers
dashboard-degraded = Connected in part
dashboard-returning = On its way back
dashboard-stale = No news from the broker; what you see may be out of date. Trying again…
dashboard-history = Outages
dashboard-history-empty = None so far. Whenever a part of the way into this house fails for more than a few seconds, it is noted here.
dashboard-history-older = Earlier
dashboard-history-newest = Back to the newest
dashboard-history-title = Outages
dashboard-history-lead = When a part of the way into this house failed, for the last 90 days. What this broker could not see itself, because it was down, is not counted.
dashboard-history-none = Nothing more.
dashboard-comma = {", "}
dashboard-lasted = for { $span }
dashboard-lasts = still so
dashboard-letters = Letters
dashboard-letters-hint = { $n ->
    [one] When this home is offline for { $n } minute, its owners and admins get a letter, and another when it is back.
   *[other] When this home is offline for { $n } minutes, its owners and admins get a letter, and another when it is back.
}
dashboard-letters-on = Switch on
dashboard-letters-off = Switch off
dashboard-links = Links
dashboard-links-empty = Nothing is shared. Choose a device below and press Share: whoever gets the link sees that one thing, and nothing else of your home.
dashboard-view = May look
dashboard-control = May switch
dashboard-made = Made
dashboard-ends = Ends
dashboard-ended = Ended
dashboard-never = never
dashboard-used = Last used
dashboard-not-yet = not yet
dashboard-lapsed = Lapsed
dashboard-revoked = Revoked
dashboard-revoke = Revoke
dashboard-revoke-title = Revoke this link?
dashboard-revoke-hint = It stops working at once, also on pages that are open now. This cannot be undone; you can make a new link at any time.
dashboard-devices = Devices
dashboard-devices-none = Home Assistant has no devices to show yet.
dashboard-search = Search devices
dashboard-search-none = No device fits. Try fewer letters.
dashboard-no-area = No area
dashboard-share = Share
dashboard-away-title = Your home is away right now
dashboard-away-lead = Its agent is not connected, so its devices cannot be listed. They appear here by themselves when it is back. If it stays away: does the machine have power and network? After a reinstall, pair it again:
dashboard-withheld = { $n ->
    [one] One more entity stays at home: the home’s own policy keeps it. To share it, name it in policy.toml beside the agent.
   *[other] { $n } more entities stay at home: the home’s own policy keeps them, such as locks, cameras and persons. To share one, name it in policy.toml beside the agent.
}
dashboard-stopped-title = This home has stopped all sharing
dashboard-stopped-lead = Somebody at home told the agent to share nothing. Links show their devices as unavailable until it is told otherwise there; from here it cannot be changed.
dashboard-share-title = Share a device
dashboard-for-whom = For whom?
dashboard-for-whom-example = Anna, while we are away
dashboard-for-whom-hint = Only you see this. One link per person makes it easy to take a key back.
dashboard-may = What may they do?
dashboard-may-view = Look at its state
dashboard-may-view-hint = They see whether it is on, or what it measures, as it changes.
dashboard-may-control = Look and switch it
dashboard-may-control-hint = They can also turn it on and off. Nothing else of your home opens.
dashboard-may-control-not = Only lights, switches and fans can be handed over for switching.
dashboard-until = For how long?
dashboard-until-hour = 1 hour
dashboard-until-day = 1 day
dashboard-until-week = 1 week
dashboard-until-date = Until a day
dashboard-until-never = Until I revoke it
dashboard-until-date-label = Last day
dashboard-make-link = Make the link
dashboard-shared-title = The key is ready
dashboard-once = Copy or scan it now: for safety this link is shown only this once.
dashboard-link = Link to send
dashboard-qr = QR code of the link
dashboard-qr-hint = Or let them scan this with their phone’s camera.
dashboard-done = Done
dashboard-wrong-name = A home’s name has 1 to 60 characters.
dashboard-wrong-port = A port is a number between 1 and 65535.
dashboard-wrong-label = Please say for whom the link is, in at most 80 characters.
dashboard-wrong-control = This device can be looked at, not switched.
dashboard-wrong-until = Please choose how long the link shall work.
dashboard-wrong-date = Please choose a day that is not over yet, within ten years.
dashboard-settings = Settings
dashboard-settings-hint = The home keeps its address, so that links and bookmarks go on working.
dashboard-save = Save
dashboard-renew = New tunnel token
dashboard-renew-hint = If somebody may have seen the old one. The home is away for a few seconds.
dashboard-renew-do = Renew
dashboard-delete = Delete this home
dashboard-delete-hint = Its address, its links and its agent stop working at once.
dashboard-delete-do = Delete
dashboard-delete-title = Delete this home?
dashboard-delete-what = Its address goes to nobody, every link stops working and its agent is signed out. Your Home Assistant itself stays as it is. This cannot be undone.
dashboard-delete-type = To confirm, type the home’s name:
dashboard-wrong-typed = The name did not match, so nothing was deleted.

## Tunnels
tunnels-no-home-title = No home here
tunnels-no-home = There is no home under this name. The address may be mistyped.
tunnels-away-title = This home is away
tunnels-away = The home is not connected right now. This page looks again by itself every few seconds.
tunnels-busy = Something is busy or restarting. This page looks again by itself every few seconds.
tunnels-origin-down = The home is connected, but Home Assistant does not answer there. It may be restarting; this page looks again by itself.
tunnels-broke = The connection to the home broke while it was answering. This page tries again by itself.
tunnels-bad-request = Your browser or a proxy in between sent a request that cannot be passed on safely.

## Portal
portal-crumbs = Where this is
portal-changed = Changed
portal-offline = This home is offline; what you see may be out of date.
portal-offline-since = It went offline:
portal-pending = Asking the home…
portal-done = Done.
portal-refused-failed = The home could not do that.
portal-refused-unavailable = The device does not answer right now.
portal-refused-policy = The home does not allow this.
portal-too-often = That was a lot at once. Please wait a moment.
portal-timed-out = No answer came in time. It may have happened or not; watch the state above.
portal-control-offline = The home cannot be reached right now. Nothing was switched.
portal-revoked-title = This link is no longer valid
portal-revoked = Its owner took it back, or its time is over. Ask whoever sent it to you for a new one.
portal-line-live = Live
portal-line-polling = Checking every few seconds
portal-line-offline = Home offline
portal-line-again = Reconnecting…
portal-line-still = As of when this page was loaded
portal-by-view = Shared with you for viewing through Latchkey
portal-by-control = Shared with you through Latchkey
portal-state-on = On
portal-state-off = Off
portal-state-open = Open
portal-state-closed = Closed
portal-state-opening = Opening
portal-state-closing = Closing
portal-state-locked = Locked
portal-state-unlocked = Unlocked
portal-state-locking = Locking
portal-state-unlocking = Unlocking
portal-state-jammed = Jammed
portal-state-detected = Detected
portal-state-clear = Clear
portal-state-wet = Wet
portal-state-dry = Dry
portal-state-low = Low
portal-state-normal = Normal
portal-state-hot = Hot
portal-state-cold = Cold
portal-state-connected = Connected
portal-state-disconnected = Disconnected
portal-state-plugged-in = Plugged in
portal-state-unplugged = Unplugged
portal-state-running = Running
portal-state-not-running = Not running
portal-state-home = At home
portal-state-away = Away
portal-state-heating = Heating
portal-state-cooling = Cooling
portal-state-heating-cooling = Heating or cooling
portal-state-automatic = Automatic
portal-state-drying = Drying
portal-state-fan-only = Fan only
portal-state-playing = Playing
portal-state-paused = Paused
portal-state-idle = Idle
portal-state-standby = Standby
portal-state-buffering = Buffering
portal-state-cleaning = Cleaning
portal-state-docked = Docked
portal-state-returning = Returning
portal-state-error = Error
portal-state-unavailable = Unavailable
portal-state-unknown = Not known yet

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
oauth-home-taken = its agent is away; this one takes its place
oauth-home-connected = is connected
oauth-taken-from = This home is connected from
oauth-taken-paired = This home has an agent, which is away, on
oauth-taken-paired-since = paired
oauth-taken-somewhere = another machine
oauth-taken-since = connected
oauth-taken-ask = Take over?
oauth-taken-what = The agent there ends, and this one takes its place. The home keeps its address, and what you share stays shared.
oauth-take-over = Take over
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
oauth-address-sent = The answer was to go to
oauth-addresses-known = Registered are
oauth-registered-by = Registered by
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

## Clients
clients-title = Registered programs
clients-lead = Programs of this workspace that may ask people for access, or use their own.
clients-add = Register a program
clients-empty = No program is registered yet. You need this only to connect software that is not Latchkey’s own, such as Home Assistant’s application credentials.
clients-disabled = Switched off
clients-id = Client ID
clients-secret = Client secret
clients-made = Registered
clients-old-secret = Old secret good until
clients-details = What it may do, and where its answers go
clients-rotate = New secret
clients-rotate-title = Make a new secret?
clients-overlap = The old secret stays good:
clients-overlap-day = for a day
clients-overlap-week = for a week
clients-overlap-none = not at all
clients-enable = Switch on
clients-disable = Switch off
clients-delete = Delete
clients-delete-title = Delete this program?
clients-delete-hint = Everybody who let it in loses it at once. This cannot be undone; to pause it, switch it off instead.
clients-name = Name
clients-name-hint = People see this when the program asks them for access.
clients-kind = What kind of program is it?
clients-kind-home-assistant = Home Assistant application credentials
clients-kind-home-assistant-hint = For an integration in Home Assistant that signs in to Latchkey.
clients-kind-web = Program on a server
clients-kind-web-hint = It has a server of its own and can keep a secret.
clients-kind-native = App or command line
clients-kind-native-hint = It runs on people’s own machines and keeps no secret.
clients-kind-device = Device without a browser
clients-kind-device-hint = It shows a code that people type on another screen.
clients-kind-service = In its own name
clients-kind-service-hint = It works for this workspace without a person, with a secret of its own.
clients-kind-resource-server = Checks tokens
clients-addresses = Where its answers go
clients-addresses-hint = One address a line, compared letter by letter. For Home Assistant you can leave this empty.
clients-may = The most it may be given
clients-register = Register
clients-ready = The program is registered
clients-once = Copy the secret now: for safety it is shown only this once.
clients-wrong-many = This workspace has as many programs as it may have. Delete one that is no longer needed.
clients-wrong-name = Please give the program a name of 1 to 80 visible characters; people will see it.
clients-wrong-id = A client_id has 1 to 100 letters, digits, dots, hyphens and underscores.
clients-wrong-kind = This kind of program cannot be registered here.
clients-wrong-grant = This grant does not go with the kind of program.
clients-wrong-scope = One of these rights cannot be given to this program, or none was chosen.
clients-wrong-secret = Whether a program of this kind keeps a secret is not open: web, Home Assistant, service and resource server do.
clients-wrong-workspace = A program that asks in its own name must belong to a workspace; it sees nothing else.
clients-no-address = Please name the address where answers go after people have decided.
clients-many-addresses = A program has at most 20 addresses.
clients-address-long = An address has at most 1000 characters.
clients-address-fragment = An address has no part after a # sign: browsers keep it to themselves.
clients-address-wildcard = An address is compared letter by letter, so it cannot hold a * sign. Register each one.
clients-address-characters = An address holds only the letters, digits and signs of a URL. Write everything else as a percent escape.
clients-address-relative = An address begins with its scheme in small letters, such as https://.
clients-address-scheme = Use https://, or for an app a scheme that is a domain of yours turned round, such as com.example.app:/callback.
clients-address-http = Plain http:// is for this very machine only: 127.0.0.1, [::1] or localhost. Everywhere else use https://.
clients-address-host = The address needs a host in small letters, without user name or password, and a valid port if any.
clients-address-dots = The path of an address cannot lead up and down again with dots.
clients-address-private = A scheme of its own is for apps without a secret: any other app could take it.
clients-address-slash = After a scheme of its own comes a single slash, such as com.example.app:/callback.
clients-address-query = The query of an address cannot hold code, state, error or iss: those are ours to add.

## Programs
programs-title = Connected programs
programs-lead = Everything you have let in with your account. What you put out is out at once.
programs-empty = You have not let any program in yet. When one asks for access, or you pair an agent, it is listed here.
programs-may = What it may do, and for how long
programs-since = Let in
programs-used = Last used
programs-from = from
programs-unused = Out if not used
programs-latest = At the latest, whatever it does, it is out:
programs-revoke = Put out
programs-revoke-title = Put this program out?
programs-revoke-hint = It stops working at once, and what it has open is closed. It can ask you again at any time.
programs-cancel = Cancel
programs-reused = A program was put out, because its key was used by two
programs-reused-hint = Somebody may have copied it, or a backup was restored beside the original. If that is so, you can let the program in again. If you do not know why, look after the machine it runs on first.

## A home's tunnel while it is made

making-busy = The home’s address is being made
making-hint = This takes a few seconds. You can leave this page; it goes on by itself.
making-stuck = The home’s address cannot be made yet
making-deleting = The home is being deleted
making-retry = Try again now
making-provider-silent = Cloudflare does not answer. It is tried again by itself.
making-provider-busy = Cloudflare is busy or has a fault. It is tried again by itself.
making-provider-full = Cloudflare takes no more tunnels or DNS records in this account. Whoever runs this service must make room.
making-provider-denied = Cloudflare refuses this service’s API token. Whoever runs this service must renew it or give it the missing permission.
making-provider-refused = Cloudflare says no. Whoever runs this service finds the reason below.
making-still-connected = Cloudflare still counts connections of the old tunnel, for some minutes. It goes on by itself.
making-foreign-record = A DNS record of that name is there already and is not ours. Have it removed, or delete this home and add it under another name.
making-no-account = The Cloudflare account of this home’s domain is not set up any more. Whoever runs this service must add it again.

proof-title = Is the address right?
proof-ask = Check the address
proof-asked = Checked
proof-none = Nobody has checked yet whether the home’s address leads to Home Assistant.
proof-proved = The home’s address leads to Home Assistant.
proof-trusted-proxies = Home Assistant turns visitors away (400): it does not trust { $detail } yet. Add these lines to its configuration.yaml and restart it.
proof-origin-down = The tunnel is there, and Home Assistant does not answer behind it. Is it running, and are its address and port right?
proof-wrong-port = Home Assistant runs, but nothing answers where the tunnel ends. The port in the settings below is wrong.
proof-not-home-assistant = Something answers at the home’s address, but it is not Home Assistant ({ $detail }). Check the port in the settings.
proof-no-tunnel = The name is there, but no tunnel stands behind it ({ $detail }). Is the agent running?
proof-not-applied = The tunnel is there but does not know this name yet ({ $detail }). Wait a minute and check again.
proof-elsewhere = The home’s name leads to another server. Its DNS record must lead to this broker.
proof-dns = The home’s name is not known ({ $detail }). Its DNS record is missing, or not everywhere yet.
proof-tls = No secure connection comes about: the certificate does not fit this name ({ $detail }).
proof-timeout = No answer came in time. Is a firewall in between?
proof-redirect-loop = The home’s address leads back to itself, to { $detail }. Home Assistant, or a proxy before it, insists on https: let the tunnel lead to its https port, or turn that off.
proof-unreachable = Nothing can be reached at the home’s address ({ $detail }).
