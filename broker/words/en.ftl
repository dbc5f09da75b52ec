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

## Accounts
accounts-sign-in-title = Welcome back
accounts-sign-in-lead = Sign in to look after your homes.
accounts-sign-in = Sign in
accounts-email = Email
accounts-password = Password
accounts-first-run-title = Make this Latchkey yours
accounts-first-run-lead = You are the first one here. The account you create now owns this broker's first workspace.
accounts-name = Your name
accounts-password-rule = At least 10 characters. Three or four random words are easy to remember and hard to guess.
accounts-create = Create account
accounts-wrong-password = Email and password do not fit together. Check both and try again.
accounts-wrong-name = Please tell us your name, in at most 80 characters.
accounts-wrong-email = That does not look like an email address.
accounts-wrong-new-password = The password needs at least 10 characters.

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
