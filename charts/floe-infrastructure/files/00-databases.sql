-- A role and a database for each service. psql runs this once, on an empty volume, before anything can connect.
-- Passwords come from the container's environment, so that they are in no ConfigMap and in no argument.
\set ON_ERROR_STOP on
\getenv dagster_password DAGSTER_PASSWORD
\getenv marquez_password MARQUEZ_PASSWORD
\getenv polaris_password POLARIS_PASSWORD
CREATE ROLE dagster LOGIN PASSWORD :'dagster_password';
CREATE ROLE marquez LOGIN PASSWORD :'marquez_password';
CREATE ROLE polaris LOGIN PASSWORD :'polaris_password';
CREATE DATABASE dagster OWNER dagster;
CREATE DATABASE marquez OWNER marquez;
CREATE DATABASE polaris OWNER polaris;
-- a service sees its own database only
REVOKE CONNECT, TEMPORARY ON DATABASE dagster, marquez, polaris FROM PUBLIC;
