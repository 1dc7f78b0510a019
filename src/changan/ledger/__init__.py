"""The ledger: a pure state machine that speaks the wire protocol of ChainMaker (长安链). No clock, dice, disk or socket."""
