//! Stories: what people do with the whole product, told against real parts.

mod first_day;
mod tunnelling;
