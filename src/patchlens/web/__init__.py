"""Files from the web: several at a time, resumed, tried again, checked, whole or not there."""
