"""The application's side of ABCI 2.0: messages, frames and the socket server."""
