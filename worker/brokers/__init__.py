"""Jobs from message brokers: take, store, then acknowledge; never the other way round."""
