"""What comes back by mail: it is read, judged and written down here. Nothing in a mail is believed without a reason."""
