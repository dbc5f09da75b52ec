//! Pages: what people see, in a real browser, with a real Home Assistant behind it.

mod guest;
