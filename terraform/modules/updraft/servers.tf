# Control and edges. Neither keeps anything: a machine that is lost is replaced, and a release is rolled out by replacing
# them, in the order that docs/runbook.md gives.

locals {
  servers = {
    control = { type = local.size.control, count = 2, groups = ["console", "internal"] }
    edge    = { type = local.size.edge, count = local.size.edges, groups = ["edge"] }
  }

  settings = {
    control = merge(local.control_said, {
      data_dir                 = "/var/lib/updraft"
      port_base                = local.ports.console
      console_url              = "https://${var.domain}"
      airflow_url              = "https://c{cluster}.${var.airflow_domain}/airflow-webserver-{cluster}/"
      master_key_file          = "/run/updraft/master-key"
      edge_token_file          = "/run/updraft/edge-token"
      identity_refresh_seconds = 900
      metadata_ca_file         = local.database_ca.file
      tunnel_address           = "tunnels.${var.domain}:${local.ports.tunnels}"
      listen                   = { public = "0.0.0.0:${local.ports.console}", internal = "0.0.0.0:${local.ports.internal}" }
      trusted_proxies          = local.public_cidrs
      nodes                    = local.nodes
      aws                      = { identity = aws_iam_role.face["control"].arn, region = local.region }
    })
    edge = {
      state_dir       = "/var/lib/updraft/edge"
      asset_dir       = "/var/lib/updraft/assets"
      control_url     = "https://agents.${var.domain}"
      console_url     = "https://${var.domain}"
      edge_token_file = "/run/updraft/edge-token"
      port            = local.ports.edge
      listen          = "0.0.0.0"
      https           = true
      trusted_proxies = local.public_cidrs
      tunnel_listen   = "0.0.0.0:${local.ports.tunnels}"
      # Balancers need up to 13 s to take it out; systemd ends what has not ended after 90 s.
      leave_seconds = 15
      drain_seconds = 60
    }
  }

  # As with nodes: what is left unsaid is not there.
  control_said = { for setting, value in {
    package_index  = var.package_index
    outbound_allow = length(var.outbound_allow) > 0 ? var.outbound_allow : null
    mail = var.mail == null ? null : merge(
      { smtp_url = var.mail.smtp_url, from = var.mail.from },
      local.mail_password ? { smtp_password_file = "/run/updraft/smtp-password" } : {},
    )
  } : setting => value if value != null }
  mail_password = try(var.mail.password, false)
}

# A stream for each machine, so that what one said is there when it is not.
resource "aws_cloudwatch_log_group" "journal" {
  for_each          = local.faces
  name              = "/${var.name}/${each.key}"
  kms_key_id        = aws_kms_key.this.arn
  retention_in_days = var.log_retention_days
  tags              = local.tags
}

resource "aws_launch_template" "this" {
  for_each               = local.servers
  name                   = "${var.name}-${each.key}"
  image_id               = local.image_id
  instance_type          = each.value.type
  vpc_security_group_ids = [aws_security_group.this[each.key].id]
  update_default_version = true
  tags                   = local.tags

  user_data = base64encode(templatefile("${path.module}/server.sh.tftpl", {
    face     = each.key
    region   = local.region
    bucket   = aws_s3_bucket.this["artifacts"].id
    key      = var.release.key
    sha256   = var.release.sha256
    secrets  = { for name in local.readers[each.key] : name => aws_secretsmanager_secret.this[name].name }
    settings = jsonencode(local.settings[each.key])
    ca       = { control = local.database_ca, edge = null }[each.key]
    # Of every unit and the kernel, as CloudWatch's agent has read it since 1.300070 of June 2026
    # (https://github.com/aws/amazon-cloudwatch-agent/pull/2121). It runs as root, who may read all of a journal.
    journal = jsonencode({ logs = { logs_collected = { journald = { collect_list = [{
      log_group_name  = aws_cloudwatch_log_group.journal[each.key].name
      log_stream_name = "{instance_id}"
      priority        = "info"
    }] } } } })
  }))

  iam_instance_profile {
    arn = aws_iam_instance_profile.face[each.key].arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  monitoring {
    enabled = true
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = 20
      encrypted             = true # with EBS's own key: what is secret lies in memory
      delete_on_termination = true
    }
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume"]

    content {
      resource_type = tag_specifications.value
      tags          = merge(local.tags, { Name = "${var.name}-${each.key}" })
    }
  }
}

resource "aws_autoscaling_group" "this" {
  for_each                  = local.servers
  name                      = "${var.name}-${each.key}"
  min_size                  = each.value.count
  max_size                  = each.value.count * 3
  vpc_zone_identifier       = local.private_ids
  target_group_arns         = concat([for group in each.value.groups : aws_lb_target_group.front[group].arn], each.key == "edge" ? [aws_lb_target_group.passage.arn] : [])
  health_check_grace_period = 180
  default_instance_warmup   = 120

  # Not the balancers' word, by which they choose whom to ask: what they find wrong (no database, no secret yet, for a new edge no
  # control) its successor would have as well, and the whole fleet would be replaced again and again, with its journals.
  # A process that ends is systemd's to start, a machine that fails is EC2's to tell of, and for the rest there are alarms.
  health_check_type = "EC2"

  launch_template {
    id      = aws_launch_template.this[each.key].id
    version = aws_launch_template.this[each.key].latest_version
  }

  # New before old: at no time is there one less.
  instance_maintenance_policy {
    min_healthy_percentage = 100
    max_healthy_percentage = 150
  }

  dynamic "tag" {
    for_each = merge(local.tags, { Name = "${var.name}-${each.key}" })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false
    }
  }
}

resource "aws_autoscaling_policy" "this" {
  for_each               = local.servers
  name                   = "${var.name}-${each.key}-cpu"
  autoscaling_group_name = aws_autoscaling_group.this[each.key].name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = 50

    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}
