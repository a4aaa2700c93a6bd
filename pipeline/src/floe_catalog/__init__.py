"""An Iceberg REST catalog in one process, with OAuth2 and the part of Polaris that a bootstrap needs."""
