//! The edge as a black box: real sockets, a fake control endpoint, real upstream servers.

mod harness;

mod assets;
mod authorization;
mod forwarding;
mod headers;
mod pages;
mod paths;
mod sign_in;
mod stability;
mod streaming;
mod websockets;
