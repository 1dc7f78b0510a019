"""The compiled back end: a contract's typed tree as WebAssembly, run by wasmtime, with the state in linear memory."""
