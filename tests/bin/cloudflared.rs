//! Stands in for `cloudflared` in stories; see `kit::connector`.

fn main() {
    kit::connector::stand_in();
}
