-- For `--profile demo`, which wants a database of its own that is empty.
CREATE DATABASE ninety_demo;
