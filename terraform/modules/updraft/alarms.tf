# What somebody must be woken for, and no more.

locals {
  alarms = merge(
    { for name in keys(local.targets) : "${name}-unhealthy" => {
      namespace = "AWS/ApplicationELB", metric = "UnHealthyHostCount", statistic = "Maximum", over = 0
      dimensions = {
        LoadBalancer = aws_lb.front.arn_suffix
        TargetGroup  = aws_lb_target_group.front[name].arn_suffix
      }
    } },
    { tunnels-unhealthy = {
      namespace = "AWS/NetworkELB", metric = "UnHealthyHostCount", statistic = "Maximum", over = 0
      dimensions = {
        LoadBalancer = aws_lb.passage.arn_suffix
        TargetGroup  = aws_lb_target_group.passage.arn_suffix
      }
    } },
    # The balancer's own: nobody behind it answered, or not in time. What Airflow answers is its tenants' concern.
    { front-errors = {
      namespace = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", statistic = "Sum", over = 10
      dimensions = {
        LoadBalancer = aws_lb.front.arn_suffix
      }
    } },
    { for name in keys(local.databases) : "${name}-database-cpu" => {
      namespace = "AWS/RDS", metric = "CPUUtilization", statistic = "Maximum", over = 80
      dimensions = {
        DBInstanceIdentifier = aws_db_instance.this[name].identifier
      }
    } },
    # Whoever comes after the last one is refused.
    { for name, database in local.databases : "${name}-database-connections" => {
      namespace = "AWS/RDS", metric = "DatabaseConnections", statistic = "Maximum", over = floor(database.connections * 0.8)
      dimensions = {
        DBInstanceIdentifier = aws_db_instance.this[name].identifier
      }
    } },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "Updraft ${var.name}: see docs/runbook.md"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.over
  period              = 60
  evaluation_periods  = 5
  treat_missing_data  = each.value.statistic == "Sum" ? "notBreaching" : "missing" # nothing is counted where nothing fails
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = local.tags
}

# Full disks stop Postgres: a tenth is left, while it may still grow.
resource "aws_cloudwatch_metric_alarm" "disk" {
  for_each            = local.databases
  alarm_name          = "${var.name}-${each.key}-database-disk"
  alarm_description   = "Updraft ${var.name}: see docs/runbook.md"
  namespace           = "AWS/RDS"
  metric_name         = "FreeStorageSpace"
  dimensions          = { DBInstanceIdentifier = aws_db_instance.this[each.key].identifier }
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = each.value.gb * pow(1024, 3) / 10
  period              = 300
  evaluation_periods  = 1
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = local.tags
}
