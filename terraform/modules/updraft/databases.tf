# Two servers: the control plane's outage must not be Airflow's (ARCHITECTURE.md 4), nor the other way round.

locals {
  # A process of control has up to 40 connections to its own server, and six live while machines are replaced. A cluster takes
  # some thirty to the metadata server (more than 100 it is refused); the hundred beyond are control's and operators'. Each is a
  # process of Postgres of some 10 MB: at most half of a server's memory, since a quarter is its cache.
  databases = {
    control  = { class = local.size.control_db, gb = 50, backup_days = 35, connections = 300 }
    metadata = { class = local.size.metadata_db, gb = local.size.metadata_gb, backup_days = 14, connections = local.size.clusters * 30 + 100 }
  }

  # RDS's certificates are of an authority of its own, which no machine trusts by itself
  # (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html).
  database_ca = {
    file = "/etc/updraft/rds-ca.pem"
    url = lookup({
      aws-cn     = "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/global/global-bundle.pem"
      aws-us-gov = "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem"
    }, local.partition, "https://truststore.pki.rds.amazonaws.com/${local.region}/${local.region}-bundle.pem")
  }

  # RDS would make them itself, to be kept for ever under no key of ours.
  database_logs = merge([for name in keys(local.databases) : {
    for kind in ["postgresql", "upgrade"] : "${name} ${kind}" => "/aws/rds/instance/${var.name}-${name}/${kind}"
  }]...)
}

resource "aws_cloudwatch_log_group" "database" {
  for_each          = local.database_logs
  name              = each.value
  kms_key_id        = aws_kms_key.this.arn
  retention_in_days = var.log_retention_days
  tags              = local.tags
}

resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = local.private_ids
  tags       = local.tags
}

resource "aws_db_parameter_group" "this" {
  for_each = local.databases
  name     = "${var.name}-${each.key}-18"
  family   = "postgres18"
  tags     = local.tags

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  parameter {
    name  = "log_min_duration_statement"
    value = "1000"
  }

  # Control hands passwords over as SCRAM verifiers, so that none is in these logs.
  parameter {
    name  = "log_statement"
    value = "ddl"
  }

  parameter {
    name         = "max_connections"
    value        = each.value.connections
    apply_method = "pending-reboot"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "this" {
  # checkov:skip=CKV_AWS_161: each cluster's role has a password of its own, over TLS; nobody signs in by IAM
  for_each       = local.databases
  identifier     = "${var.name}-${each.key}"
  engine         = "postgres"
  engine_version = "18"
  instance_class = each.value.class

  # RDS makes it, keeps it in Secrets Manager and turns it; nothing of Updraft uses it but the runbook.
  username                      = "operator"
  manage_master_user_password   = true
  master_user_secret_kms_key_id = aws_kms_key.this.arn

  storage_type          = "gp3"
  allocated_storage     = each.value.gb
  max_allocated_storage = each.value.gb * 4
  storage_encrypted     = true
  kms_key_id            = aws_kms_key.this.arn

  multi_az               = true
  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this[each.key == "control" ? "database" : "metadata"].id]
  publicly_accessible    = false
  ca_cert_identifier     = "rds-ca-rsa2048-g1"
  parameter_group_name   = aws_db_parameter_group.this[each.key].name

  backup_retention_period   = each.value.backup_days
  backup_window             = "03:00-04:00"
  maintenance_window        = "sun:04:30-sun:05:30"
  copy_tags_to_snapshot     = true
  delete_automated_backups  = false
  deletion_protection       = var.protect
  skip_final_snapshot       = !var.protect
  final_snapshot_identifier = "${var.name}-${each.key}-last"

  auto_minor_version_upgrade            = true
  monitoring_interval                   = 60
  monitoring_role_arn                   = aws_iam_role.monitoring.arn
  database_insights_mode                = "standard"
  performance_insights_enabled          = true
  performance_insights_kms_key_id       = aws_kms_key.this.arn
  performance_insights_retention_period = 7
  enabled_cloudwatch_logs_exports       = ["postgresql", "upgrade"]

  tags       = local.tags
  depends_on = [aws_cloudwatch_log_group.database]
}

resource "aws_iam_role" "monitoring" {
  name = "${var.name}-database-monitoring"
  tags = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "monitoring.rds.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}
