"""The explorer: a page on this machine that turns a chest from one radiograph."""
