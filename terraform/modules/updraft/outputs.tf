output "console_url" {
  description = "Where people go."
  value       = "https://${var.domain}"
}

output "records" {
  description = "Names and what they are aliases of: to be made by hand where no zone was given."
  value       = { for record in local.records : record.name => record.at.dns_name }
}

output "control_role_arn" {
  description = "What tenants let assume their role: `updraft_role_arn` of modules/tenant-account."
  value       = aws_iam_role.face["control"].arn
}

output "buckets" {
  description = "Names of the buckets: artifacts, audit, access."
  value       = { for name, bucket in aws_s3_bucket.this : name => bucket.id }
}

output "databases" {
  description = "The two Postgres servers, and the secrets in which RDS keeps their operators' passwords. `url`: as the secrets database-url and metadata-url take it, with a password of yours."
  value = { for name, database in aws_db_instance.this : name => {
    address         = database.address
    port            = local.ports.postgres
    url             = "postgres://updraft:PASSWORD@${database.address}:${local.ports.postgres}/updraft?sslmode=verify-full&sslrootcert=${local.database_ca.file}"
    operator_secret = one(database.master_user_secret[*].secret_arn)
  } }
}

output "secrets" {
  description = "Secrets that the operator fills: see docs/runbook.md."
  value       = { for name, secret in aws_secretsmanager_secret.this : name => secret.arn }
}

output "nodes_reach" {
  description = "What nodes of tenants dial, all of it outbound: for rules of their networks."
  value = {
    control = "agents.${var.domain}:443"
    tunnels = "tunnels.${var.domain}:${local.ports.tunnels}"
    storage = "s3.${local.region}.amazonaws.com:443"
  }
}

output "network" {
  description = "What networks of nodes are attached to, for the metadata server: docs/runbook.md, \"Networks of nodes\". Of a network that was brought, route tables are its owner's to know."
  value = {
    vpc_id                  = local.vpc_id
    cidr                    = local.made ? var.cidr : null
    private_subnet_ids      = local.private_ids
    private_route_table_ids = aws_route_table.private[*].id
  }
}

output "security_groups" {
  description = "By what they are of: front, passage, control, edge, database (control's), metadata (clusters')."
  value       = { for name, group in aws_security_group.this : name => group.id }
}

output "settings" {
  description = "What control and edges are told, but for the addresses of databases, which are secrets."
  value       = local.settings
}
